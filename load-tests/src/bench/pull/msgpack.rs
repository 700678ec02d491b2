//! `MessagePack` read no further than needed: heads of values, and over the rest.

use anyhow::{Result, bail, ensure};

/// What a value begins with.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Head {
    /// A value without others in it, of so many bytes behind its head.
    Plain(usize),
    /// So many values follow: a map has two for each entry.
    Nested(u64),
}

/// Reads values one after another.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

/// Walks over a value whose bytes come bit by bit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    /// Values that are still to come.
    values: u64,
    /// Bytes of the value at hand that are still to come.
    bytes: usize,
}

impl Walk {
    /// Before a value.
    pub(super) fn new() -> Self {
        Self { values: 1, bytes: 0 }
    }

    /// Walks on as far as there are bytes; how many of them it passed. The rest has to come again with more behind it.
    pub(super) fn on(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut at = 0;
        loop {
            let step = self.bytes.min(bytes.len() - at);
            (at, self.bytes) = (at + step, self.bytes - step);
            if self.bytes > 0 || self.values == 0 {
                return Ok(at);
            }
            let Some((head, length)) = head_of(&bytes[at..])? else { return Ok(at) };
            at += length;
            self.values -= 1;
            match head {
                Head::Plain(length) => self.bytes = length,
                Head::Nested(values) => self.values += values,
            }
        }
    }

    /// Whether the value was passed whole.
    pub(super) fn has_ended(&self) -> bool {
        self.values == 0 && self.bytes == 0
    }
}

impl<'a> Reader<'a> {
    /// From the beginning of a value.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Passes the next value.
    pub(super) fn skip(&mut self) -> Result<()> {
        let mut walk = Walk::new();
        let length = walk.on(self.bytes)?;
        ensure!(walk.has_ended(), "a value is cut");
        self.bytes = &self.bytes[length..];
        Ok(())
    }

    /// A map's head: how many entries it has.
    pub(super) fn map(&mut self) -> Result<u64> {
        let is_map = matches!(self.bytes.first(), Some(0x80..=0x8f | 0xde | 0xdf));
        match self.head()? {
            Head::Nested(values) if is_map => Ok(values / 2),
            Head::Nested(_) | Head::Plain(_) => bail!("a map was expected"),
        }
    }

    /// A text.
    pub(super) fn text(&mut self) -> Result<&'a str> {
        let is_text = matches!(self.bytes.first(), Some(0xa0..=0xbf | 0xd9..=0xdb));
        match self.head()? {
            Head::Plain(length) if is_text => Ok(std::str::from_utf8(self.take(length)?)?),
            Head::Plain(_) | Head::Nested(_) => bail!("a text was expected"),
        }
    }

    /// A number that is not negative.
    pub(super) fn number(&mut self) -> Result<i64> {
        let first = self.bytes.first().copied().unwrap_or(0xc1);
        let Head::Plain(length) = self.head()? else { bail!("a number was expected") };
        match first {
            0x00..=0x7f => Ok(i64::from(first)),
            0xcc..=0xd3 => {
                let bytes = self.take(length)?.iter();
                Ok(bytes.fold(0u64, |number, byte| number << 8 | u64::from(*byte)).cast_signed())
            }
            _ => bail!("a number was expected"),
        }
    }

    /// True or false.
    pub(super) fn flag(&mut self) -> Result<bool> {
        match self.take(1)? {
            [0xc2] => Ok(false),
            [0xc3] => Ok(true),
            _ => bail!("true or false was expected"),
        }
    }

    fn head(&mut self) -> Result<Head> {
        let Some((head, length)) = head_of(self.bytes)? else { bail!("a value is cut") };
        self.take(length)?;
        Ok(head)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        ensure!(count <= self.bytes.len(), "a value is cut");
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        Ok(taken)
    }
}

/// The head of the first value with its length; `None` if it has not come whole.
fn head_of(bytes: &[u8]) -> Result<Option<(Head, usize)>> {
    let Some(first) = bytes.first().copied() else { return Ok(None) };
    // The length, big-endian, in so many bytes behind the first.
    let length = |width: usize| {
        let digits = bytes.get(1..=width)?.iter();
        Some((digits.fold(0u64, |number, byte| number << 8 | u64::from(*byte)), width + 1))
    };
    let plain = |width, more| length(width).map(|(length, head)| (Head::Plain(length as usize + more), head));
    let nested = |width, each| length(width).map(|(count, head)| (Head::Nested(count * each), head));
    let fixed = |bytes| Some((Head::Plain(bytes), 1));
    Ok(match first {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => fixed(0),
        0x80..=0x8f => Some((Head::Nested(u64::from(first & 0x0f) * 2), 1)),
        0x90..=0x9f => Some((Head::Nested(u64::from(first & 0x0f)), 1)),
        0xa0..=0xbf => fixed(usize::from(first & 0x1f)),
        0xc4 | 0xd9 => plain(1, 0),
        0xc5 | 0xda => plain(2, 0),
        0xc6 | 0xdb => plain(4, 0),
        0xc7..=0xc9 => plain(1 << (first - 0xc7), 1),
        0xcc | 0xd0 => fixed(1),
        0xcd | 0xd1 => fixed(2),
        0xca | 0xce | 0xd2 => fixed(4),
        0xcb | 0xcf | 0xd3 => fixed(8),
        0xd4..=0xd8 => fixed((1 << (first - 0xd4)) + 1),
        0xdc => nested(2, 1),
        0xdd => nested(4, 1),
        0xde => nested(2, 2),
        0xdf => nested(4, 2),
        0xc1 => bail!("this is no MessagePack"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample() -> Vec<u8> {
        let long = "x".repeat(300);
        let many: Vec<i64> = (0..20).map(|number| number * 40_000 - 100).collect();
        let value = json!({"a": [1, -1, 3.5, null, true, {"b": "text"}], "long": long, "many": many, "": {}});
        rmp_serde::to_vec(&value).unwrap()
    }

    #[test]
    fn a_value_is_passed_whole_wherever_it_is_cut() {
        let mut bytes = sample();
        let length = bytes.len();
        bytes.extend_from_slice(&sample());
        for cut in 0..length {
            let mut walk = Walk::new();
            let passed = walk.on(&bytes[..cut]).unwrap();
            assert!(!walk.has_ended(), "cut at {cut}");
            assert_eq!(passed + walk.on(&bytes[passed..]).unwrap(), length, "cut at {cut}");
            assert!(walk.has_ended());
        }
    }

    #[test]
    fn members_are_read_or_passed() {
        let bytes =
            rmp_serde::to_vec_named(&json!({"cursor": "4.ab", "flag": true, "head": 70_000, "x": [1]})).unwrap();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.map().unwrap(), 4);
        assert_eq!((reader.text().unwrap(), reader.text().unwrap()), ("cursor", "4.ab"));
        assert_eq!((reader.text().unwrap(), reader.flag().unwrap()), ("flag", true));
        assert_eq!((reader.text().unwrap(), reader.number().unwrap()), ("head", 70_000));
        assert_eq!(reader.text().unwrap(), "x");
        reader.skip().unwrap();
        assert!(reader.skip().is_err());
        assert!(Reader::new(b"\xc1").skip().is_err());
    }
}
