//! A MessagePack reader that reads the members it is asked for and skips the rest without decoding it. A client that decoded
//! every event would take more of the machine than the server that is measured.

use anyhow::{Result, bail, ensure};

/// The first bytes of a value, which say what follows.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Head {
    /// A scalar, text or binary, with this many bytes after its head.
    Scalar(usize),
    /// An array or map, with this many values after its head: a map has two for each entry.
    Container(u64),
}

/// Reads one value after another.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

/// Finds the end of a value that arrives in pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Skipper {
    /// Values whose heads were not skipped yet.
    values_left: u64,
    /// Bytes of the current scalar that were not skipped yet.
    bytes_left: usize,
}

impl Skipper {
    /// At the beginning of a value.
    pub(super) fn new() -> Self {
        Self { values_left: 1, bytes_left: 0 }
    }

    /// Skips as much of the value as is there, and returns the number of skipped bytes. The rest has to be fed again together
    /// with what follows it.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut at = 0;
        loop {
            let step = self.bytes_left.min(bytes.len() - at);
            (at, self.bytes_left) = (at + step, self.bytes_left - step);
            if self.bytes_left > 0 || self.values_left == 0 {
                return Ok(at);
            }
            let Some((head, length)) = head_of(&bytes[at..])? else { return Ok(at) };
            at += length;
            self.values_left -= 1;
            match head {
                Head::Scalar(length) => self.bytes_left = length,
                Head::Container(values) => self.values_left += values,
            }
        }
    }

    /// Whether the whole value was skipped.
    pub(super) fn has_ended(&self) -> bool {
        self.values_left == 0 && self.bytes_left == 0
    }
}

impl<'a> Reader<'a> {
    /// A reader of bytes that begin with a value.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Skips the next value.
    pub(super) fn skip(&mut self) -> Result<()> {
        let mut skipper = Skipper::new();
        let length = skipper.feed(self.bytes)?;
        ensure!(skipper.has_ended(), "a value is cut off");
        self.bytes = &self.bytes[length..];
        Ok(())
    }

    /// Reads the head of a map and returns its number of entries.
    pub(super) fn map(&mut self) -> Result<u64> {
        let is_map = matches!(self.bytes.first(), Some(0x80..=0x8f | 0xde | 0xdf));
        match self.head()? {
            Head::Container(values) if is_map => Ok(values / 2),
            Head::Container(_) | Head::Scalar(_) => bail!("a map was expected"),
        }
    }

    /// Reads a text.
    pub(super) fn text(&mut self) -> Result<&'a str> {
        let is_text = matches!(self.bytes.first(), Some(0xa0..=0xbf | 0xd9..=0xdb));
        match self.head()? {
            Head::Scalar(length) if is_text => Ok(std::str::from_utf8(self.take(length)?)?),
            Head::Scalar(_) | Head::Container(_) => bail!("a text was expected"),
        }
    }

    /// Reads an integer that is not negative.
    pub(super) fn number(&mut self) -> Result<i64> {
        let first = self.bytes.first().copied().unwrap_or(0xc1);
        let Head::Scalar(length) = self.head()? else { bail!("an integer was expected") };
        match first {
            0x00..=0x7f => Ok(i64::from(first)),
            0xcc..=0xd3 => {
                let bytes = self.take(length)?.iter();
                Ok(bytes.fold(0u64, |number, byte| number << 8 | u64::from(*byte)).cast_signed())
            }
            _ => bail!("an integer was expected"),
        }
    }

    /// Reads a boolean.
    pub(super) fn flag(&mut self) -> Result<bool> {
        match self.take(1)? {
            [0xc2] => Ok(false),
            [0xc3] => Ok(true),
            _ => bail!("a boolean was expected"),
        }
    }

    fn head(&mut self) -> Result<Head> {
        let Some((head, length)) = head_of(self.bytes)? else { bail!("a value is cut off") };
        self.take(length)?;
        Ok(head)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        ensure!(count <= self.bytes.len(), "a value is cut off");
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        Ok(taken)
    }
}

/// Parses the head of a value and returns it with its length. `None` if the head has not arrived in full.
fn head_of(bytes: &[u8]) -> Result<Option<(Head, usize)>> {
    let Some(first) = bytes.first().copied() else { return Ok(None) };
    // The big-endian length in the `width` bytes after the first.
    let length = |width: usize| {
        let digits = bytes.get(1..=width)?.iter();
        Some((digits.fold(0u64, |number, byte| number << 8 | u64::from(*byte)), width + 1))
    };
    let scalar = |width, more| length(width).map(|(length, head)| (Head::Scalar(length as usize + more), head));
    let container =
        |width, values_each| length(width).map(|(count, head)| (Head::Container(count * values_each), head));
    let fixed = |bytes| Some((Head::Scalar(bytes), 1));
    Ok(match first {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => fixed(0),
        0x80..=0x8f => Some((Head::Container(u64::from(first & 0x0f) * 2), 1)),
        0x90..=0x9f => Some((Head::Container(u64::from(first & 0x0f)), 1)),
        0xa0..=0xbf => fixed(usize::from(first & 0x1f)),
        0xc4 | 0xd9 => scalar(1, 0),
        0xc5 | 0xda => scalar(2, 0),
        0xc6 | 0xdb => scalar(4, 0),
        0xc7..=0xc9 => scalar(1 << (first - 0xc7), 1),
        0xcc | 0xd0 => fixed(1),
        0xcd | 0xd1 => fixed(2),
        0xca | 0xce | 0xd2 => fixed(4),
        0xcb | 0xcf | 0xd3 => fixed(8),
        0xd4..=0xd8 => fixed((1 << (first - 0xd4)) + 1),
        0xdc => container(2, 1),
        0xdd => container(4, 1),
        0xde => container(2, 2),
        0xdf => container(4, 2),
        0xc1 => bail!("0xc1 is not valid MessagePack"),
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
    fn a_value_is_skipped_whole_wherever_it_is_cut() {
        let mut bytes = sample();
        let length = bytes.len();
        bytes.extend_from_slice(&sample());
        for cut in 0..length {
            let mut skipper = Skipper::new();
            let skipped = skipper.feed(&bytes[..cut]).unwrap();
            assert!(!skipper.has_ended(), "cut at {cut}");
            assert_eq!(skipped + skipper.feed(&bytes[skipped..]).unwrap(), length, "cut at {cut}");
            assert!(skipper.has_ended());
        }
    }

    #[test]
    fn members_are_read_or_skipped() {
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
