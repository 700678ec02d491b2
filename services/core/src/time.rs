//! Instants as whole milliseconds: the log's only notion of time. The clock itself is a parameter of the caller.

use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use crate::error::Code;
use crate::text::Text;

/// Milliseconds since 1970-01-01T00:00:00Z, between the years 1 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixMs(pub i64);

const MS_MIN: i64 = -62_135_596_800_000;
const MS_MAX: i64 = 253_402_300_799_999;

impl UnixMs {
    /// Reads RFC 3339 with any offset; digits past the millisecond are cut.
    pub fn parse(text: &str) -> Option<Self> {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        let ms = i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()?;
        (MS_MIN..=MS_MAX).contains(&ms).then_some(Self(ms))
    }
}

impl fmt::Display for UnixMs {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.clamp(MS_MIN, MS_MAX);
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
            .map_err(|_| fmt::Error)?
            .to_offset(UtcOffset::UTC);
        let (date, hms) = (time.date(), time.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            hms.hour(),
            hms.minute(),
            hms.second(),
            hms.millisecond()
        )
    }
}

impl Serialize for UnixMs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UnixMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| Code::TimeInvalid.custom("expected an RFC 3339 time between the years 1 and 9999"))
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
    fn what_is_no_time_is_refused() {
        for text in
            ["yesterday", "", "2026-11-20", "294277-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "-9223372036854775808"]
        {
            assert_eq!(UnixMs::parse(text), None, "{text}");
        }
    }
}
