//! Times as whole milliseconds. The crate reads no clock: callers pass the time in.

use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime};

use crate::error::Code;
use crate::text::parse_text;

/// A time: milliseconds since 1970-01-01T00:00:00Z, between the years 1 and 9999.
///
/// ```
/// use tidelog_core::time::UnixMs;
///
/// let time = UnixMs::parse("2026-11-20T09:00:00.1239+01:00");
/// assert_eq!(time, Some(UnixMs(1_795_161_600_123)));
/// assert_eq!(UnixMs(1_795_161_600_123).to_string(), "2026-11-20T08:00:00.123Z");
/// assert_eq!(UnixMs::parse("yesterday"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixMs(pub i64);

const MS_MIN: i64 = -62_135_596_800_000;
const MS_MAX: i64 = 253_402_300_799_999;
const DAY_MS: i64 = 86_400_000;
/// The Julian day of 1970-01-01.
const EPOCH_DAY: i64 = 2_440_588;
/// The canonical form, with 0 in the place of every digit.
const SHAPE: &[u8; 24] = b"0000-00-00T00:00:00.000Z";
/// The texts of all numbers with two digits. A table is fast, and every pulled event has two times.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + number as u8 / 10, b'0' + number as u8 % 10];
        number += 1;
    }
    pairs
};

impl UnixMs {
    /// Parses RFC 3339 with any offset, and two other forms of ISO 8601: without seconds, and with an offset of hours
    /// alone or without a colon (`+01`, `+0100`). Digits after the millisecond are cut off. `None` if the text is not a
    /// time between the years 1 and 9999, or has no offset.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(time) = Self::parse_canonical(text.as_bytes()) {
            return Some(time);
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).ok();
        let time = time.or_else(|| OffsetDateTime::parse(&rfc3339_of_iso8601(text)?, &Rfc3339).ok())?;
        let ms = i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()?;
        (MS_MIN..=MS_MAX).contains(&ms).then_some(Self(ms))
    }

    /// What a text that is not a time lacks, in a phrase for people.
    pub(crate) fn expected(text: &str) -> &'static str {
        // A local time names no instant: the device's time zone is not known here.
        match Self::parse(&format!("{text}Z")) {
            Some(_) => "expected an offset from UTC after the time, such as Z or +01:00",
            None => "expected an RFC 3339 time between the years 1 and 9999, such as 2026-11-20T08:00:00Z",
        }
    }

    /// The canonical form: RFC 3339 in UTC with milliseconds, such as `2026-11-20T08:00:00.000Z`. A time outside the
    /// years 1 to 9999 is written as the nearest time inside.
    pub fn to_text(self) -> [u8; 24] {
        let ms = self.0.clamp(MS_MIN, MS_MAX);
        let (day, ms) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS) as u32);
        // Always valid: `ms` was limited to the range that `Date` can express.
        let date = Date::from_julian_day((day + EPOCH_DAY) as i32).unwrap_or(Date::MIN);
        let (year, month, day) = date.to_calendar_date();
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
        let (year, month, ms) = (year.unsigned_abs(), u32::from(u8::from(month)), ms % 1_000);
        let mut text = *SHAPE;
        for (place, number) in [(0, year / 100), (2, year % 100), (5, month), (8, u32::from(day)), (11, hour)] {
            text[place..place + 2].copy_from_slice(&PAIRS[number as usize]);
        }
        for (place, number) in [(14, minute), (17, second), (20, ms / 10)] {
            text[place..place + 2].copy_from_slice(&PAIRS[number as usize]);
        }
        text[22] = b'0' + (ms % 10) as u8;
        text
    }

    /// Parses the form that [`Self::to_text`] writes. `None` if the text has another form or is not a time.
    fn parse_canonical(text: &[u8]) -> Option<Self> {
        let text: &[u8; 24] = text.try_into().ok()?;
        let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
        if !text.iter().zip(SHAPE).all(fits) {
            return None;
        }
        let number =
            |from: usize, to: usize| text[from..to].iter().fold(0, |n, digit| n * 10 + i64::from(digit - b'0'));
        let month = Month::try_from(number(5, 7) as u8).ok()?;
        let date = Date::from_calendar_date(number(0, 4) as i32, month, number(8, 10) as u8).ok()?;
        let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
        if date.year() == 0 || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let day = i64::from(date.to_julian_day()) - EPOCH_DAY;
        Some(Self(((day * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + number(20, 23)))
    }
}

/// The same time in RFC 3339: with seconds, and an offset of hours and minutes. `None` if the text has neither of the
/// forms that RFC 3339 lacks.
fn rfc3339_of_iso8601(text: &str) -> Option<String> {
    /// The bytes of `2026-11-20T08:00`.
    const MINUTE_BYTES: usize = 16;
    if !text.is_ascii() || text.len() <= MINUTE_BYTES {
        return None;
    }
    let (minute, rest) = text.split_at(MINUTE_BYTES);
    let (seconds, offset) = rest.split_at(rest.find(['Z', 'z', '+', '-'])?);
    let seconds = if seconds.is_empty() { ":00" } else { seconds };
    let offset = match offset.len() {
        3 => format!("{offset}:00"),
        5 => format!("{}:{}", &offset[..3], &offset[3..]),
        _ => offset.to_owned(),
    };
    Some(format!("{minute}{seconds}{offset}"))
}

impl fmt::Display for UnixMs {
    /// Writes the canonical form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_text()).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for UnixMs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UnixMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_text(deserializer, Code::TimeInvalid, |text| Self::parse(&text).ok_or_else(|| Self::expected(&text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_at_any_offset_and_written_in_utc_with_milliseconds() {
        let time = UnixMs::parse("2026-11-20T09:00:00.1239+01:00").unwrap();
        assert_eq!(time.to_string(), "2026-11-20T08:00:00.123Z");
        assert_eq!(UnixMs::parse("2026-11-20T08:00:00Z").unwrap().to_string(), "2026-11-20T08:00:00.000Z");
        assert_eq!(UnixMs::parse("1969-12-31T23:59:59.9999Z").unwrap(), UnixMs(-1));
    }

    #[test]
    fn the_forms_of_iso_8601_that_field_apps_write_are_read() {
        let time = UnixMs::parse("2026-11-20T08:00:00Z");
        for text in [
            "2026-11-20T09:00:00+01",
            "2026-11-20T09:00:00+0100",
            "2026-11-20T09:00:00.000+0100",
            "2026-11-20T09:00+01:00",
            "2026-11-20T09:00+01",
            "2026-11-20T09:00+0100",
            "2026-11-20T02:30-0530",
            "2026-11-20T08:00Z",
            "2026-11-20 08:00z",
        ] {
            assert_eq!(UnixMs::parse(text), time, "{text}");
        }
        for text in [
            "2026-11-20T09+01",
            "2026-11-20T09:00:00+1",
            "2026-11-20T09:00:00+010",
            "2026-11-20T09:00:00+24",
            "2026-11-20T09:00:00+0160",
            "2026-11-20T09:00:00+01000",
            "2026-11-20T09:00:00+01:0",
            "2026-11-20T09:00:+01",
            "2026-11-20T09:0é+01",
            "20261120T090000+01",
            "2026-11-20T09:00:00++1",
        ] {
            assert_eq!(UnixMs::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_without_an_offset_is_refused_for_that() {
        for text in ["2026-11-20T08:00:00", "2026-11-20T08:00", "2026-11-20T08:00:00.123"] {
            assert_eq!(UnixMs::parse(text), None, "{text}");
            assert!(UnixMs::expected(text).contains("offset"), "{text}");
        }
        assert!(!UnixMs::expected("yesterday").contains("offset"));
    }

    /// The canonical form of a time, and the time parsed from it, both by the `time` crate.
    fn by_the_time_crate(time: UnixMs) -> (String, UnixMs) {
        let known = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.0) * 1_000_000).unwrap();
        let (date, hms) = (known.date(), known.time());
        let (hour, minute, second, ms) = hms.as_hms_milli();
        let text = format!("{date}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z");
        let read = OffsetDateTime::parse(&text, &Rfc3339).unwrap().unix_timestamp_nanos() / 1_000_000;
        (text, UnixMs(read as i64))
    }

    #[test]
    fn every_time_is_written_and_read_as_the_time_crate_does() {
        // An odd step through the whole range, and the neighbours of special times.
        let steps = (MS_MIN..=MS_MAX).step_by(86_400_000 * 3 + 12_345_677);
        let edges = [MS_MIN, MS_MAX, 0, 951_782_400_000, 1_709_164_800_000, 4_107_542_400_000];
        let around = edges.into_iter().flat_map(|edge| [edge - 1, edge, edge + 1]);
        for ms in steps.chain(around).filter(|ms| (MS_MIN..=MS_MAX).contains(ms)) {
            let (text, read) = by_the_time_crate(UnixMs(ms));
            assert_eq!(UnixMs(ms).to_string(), text);
            assert_eq!((UnixMs::parse_canonical(text.as_bytes()), read), (Some(UnixMs(ms)), UnixMs(ms)), "{text}");
        }
        assert_eq!(UnixMs(i64::MIN).to_string(), "0001-01-01T00:00:00.000Z");
        assert_eq!(UnixMs(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_is_canonical_but_no_time_is_left_to_the_time_crate() {
        for text in [
            "2026-02-29T00:00:00.000Z",
            "2026-13-01T00:00:00.000Z",
            "2026-00-01T00:00:00.000Z",
            "2026-01-00T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            "2026-01-01T00:60:00.000Z",
            "0000-01-01T00:00:00.000Z",
            "2026-01-01T00:00:00,000Z",
            "2026-01-01t00:00:00.000z",
            "2026-01-01T00:00:0é.000Z",
        ] {
            assert_eq!(UnixMs::parse_canonical(text.as_bytes()), None, "{text}");
        }
        assert_eq!(UnixMs::parse("2026-01-01T23:59:60.000Z"), None, "no leap second but at the end of a month");
        assert_eq!(UnixMs::parse("2016-12-31T23:59:60.000Z").unwrap().to_string(), "2016-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["yesterday", "", "2026-11-20", "294277-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "-9223372036854775808"]
        {
            assert_eq!(UnixMs::parse(text), None, "{text}");
        }
    }
}
