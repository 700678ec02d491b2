//! Reads MessagePack token by token, borrowed from its bytes: for bodies, stored fields and pages, without building
//! values.

/// The marker of null.
pub(crate) const NIL: u8 = 0xc0;

/// One token: a value, or the head of a container whose items follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    /// An integer of more than 63 bits, which the value model does not have.
    TooLarge,
    Float(f64),
    Text(&'a str),
    Binary(&'a [u8]),
    /// The head of an array: this many items follow.
    Array(u32),
    /// The head of a map: this many keys follow, each with its value.
    Map(u32),
}

/// Reads tokens from the front of a byte slice.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    tokens_left: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self::with_token_limit(bytes, usize::MAX)
    }

    /// A reader that reads at most `tokens_max` tokens, and then returns `None`.
    pub(crate) fn with_token_limit(bytes: &'a [u8], tokens_max: usize) -> Self {
        Self { rest: bytes, tokens_left: tokens_max }
    }

    /// The bytes that are not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads the next token. `None` if the bytes end too early or have no meaning here: text that is not UTF-8, and
    /// extension types.
    pub(crate) fn token(&mut self) -> Option<Token<'a>> {
        let (marker, rest) = self.rest.split_first()?;
        self.tokens_left = self.tokens_left.checked_sub(1)?;
        self.rest = rest;
        Some(match *marker {
            small @ 0x00..=0x7f => Token::Int(i64::from(small)),
            small @ 0x80..=0x8f => Token::Map(u32::from(small & 0x0f)),
            small @ 0x90..=0x9f => Token::Array(u32::from(small & 0x0f)),
            small @ 0xa0..=0xbf => self.text(usize::from(small & 0x1f))?,
            NIL => Token::Nil,
            0xc2 => Token::Bool(false),
            0xc3 => Token::Bool(true),
            width @ 0xc4..=0xc6 => {
                let bytes = self.length(1 << (width - 0xc4))?;
                Token::Binary(self.take(bytes)?)
            }
            0xca => Token::Float(f64::from(f32::from_be_bytes(self.array()?))),
            0xcb => Token::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Token::Int(i64::from(u8::from_be_bytes(self.array()?))),
            0xcd => Token::Int(i64::from(u16::from_be_bytes(self.array()?))),
            0xce => Token::Int(i64::from(u32::from_be_bytes(self.array()?))),
            0xcf => i64::try_from(u64::from_be_bytes(self.array()?)).map_or(Token::TooLarge, Token::Int),
            0xd0 => Token::Int(i64::from(i8::from_be_bytes(self.array()?))),
            0xd1 => Token::Int(i64::from(i16::from_be_bytes(self.array()?))),
            0xd2 => Token::Int(i64::from(i32::from_be_bytes(self.array()?))),
            0xd3 => Token::Int(i64::from_be_bytes(self.array()?)),
            width @ 0xd9..=0xdb => {
                let bytes = self.length(1 << (width - 0xd9))?;
                self.text(bytes)?
            }
            width @ (0xdc | 0xdd) => Token::Array(u32::try_from(self.length(2 << (width - 0xdc))?).ok()?),
            width @ (0xde | 0xdf) => Token::Map(u32::try_from(self.length(2 << (width - 0xde))?).ok()?),
            negative @ 0xe0..=0xff => Token::Int(i64::from(negative as i8)),
            0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => return None, // reserved, and extension types
        })
    }

    /// Reads the next token, which has to be text.
    pub(crate) fn next_text(&mut self) -> Option<&'a str> {
        match self.token()? {
            Token::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Reads text without checking that it is UTF-8. If the next token is not a whole text, returns `None` and reads
    /// nothing.
    pub(crate) fn raw_text(&mut self) -> Option<&'a [u8]> {
        let (head, bytes) = match *self.rest.first()? {
            small @ 0xa0..=0xbf => (1, usize::from(small & 0x1f)),
            0xd9 => (2, usize::from(*self.rest.get(1)?)),
            0xda => (3, usize::from(u16::from_be_bytes(self.rest.get(1..3)?.try_into().ok()?))),
            0xdb => (5, u32::from_be_bytes(self.rest.get(1..5)?.try_into().ok()?) as usize),
            _ => return None,
        };
        let text = self.rest.get(head..)?.get(..bytes)?;
        self.tokens_left = self.tokens_left.checked_sub(1)?;
        self.rest = &self.rest[head + bytes..];
        Some(text)
    }

    /// Skips a whole value, including the items of a container.
    pub(crate) fn skip(&mut self) -> Option<()> {
        let mut left: u64 = 1;
        while left > 0 {
            left -= 1;
            left += match self.token()? {
                Token::Array(items) => u64::from(items),
                Token::Map(entries) => 2 * u64::from(entries),
                _ => 0,
            };
        }
        Some(())
    }

    /// Reads the next token by its length alone, whatever it means, and returns the number of items that follow it. `None`
    /// if the bytes end too early, or if the length is not known: the reserved marker.
    pub(crate) fn skip_frame(&mut self) -> Option<u64> {
        let mut ahead = self.clone();
        if let Some(token) = ahead.token() {
            *self = ahead;
            return Some(match token {
                Token::Array(items) => u64::from(items),
                Token::Map(entries) => 2 * u64::from(entries),
                _ => 0,
            });
        }
        if self.raw_text().is_some() {
            return Some(0); // text that is not UTF-8
        }
        let (marker, rest) = self.rest.split_first()?;
        self.rest = rest;
        let bytes = match marker {
            0xc7..=0xc9 => self.length(1 << (marker - 0xc7))?,
            0xd4..=0xd8 => 1 << (marker - 0xd4),
            _ => return None,
        };
        // An extension has a byte for its type before its data.
        self.take(bytes.checked_add(1)?).map(|_| 0)
    }

    fn text(&mut self, bytes: usize) -> Option<Token<'a>> {
        std::str::from_utf8(self.take(bytes)?).ok().map(Token::Text)
    }

    fn length(&mut self, bytes: usize) -> Option<usize> {
        let length = self.take(bytes)?.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
        usize::try_from(length).ok()
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        self.rest.split_off(..bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(bytes: &[u8]) -> Option<Vec<Token<'_>>> {
        let mut reader = Reader::new(bytes);
        let mut tokens = Vec::new();
        while !reader.rest().is_empty() {
            tokens.push(reader.token()?);
        }
        Some(tokens)
    }

    #[test]
    fn every_width_of_a_number_is_read() {
        for number in [0, 1, 127, 128, 255, 256, 65_535, 65_536, 4_294_967_296, i64::MAX] {
            for signed in [number, -number, -number - 1] {
                let bytes = rmp_serde::to_vec(&signed).unwrap();
                assert_eq!(tokens(&bytes), Some(vec![Token::Int(signed)]), "{signed}");
            }
        }
        assert_eq!(tokens(&rmp_serde::to_vec(&u64::MAX).unwrap()), Some(vec![Token::TooLarge]));
        assert_eq!(tokens(&rmp_serde::to_vec(&0.5_f32).unwrap()), Some(vec![Token::Float(0.5)]));
        assert_eq!(tokens(&rmp_serde::to_vec(&-0.1_f64).unwrap()), Some(vec![Token::Float(-0.1)]));
    }

    #[test]
    fn every_width_of_a_length_is_read() {
        for bytes in [0, 31, 32, 255, 256, 65_535, 65_536] {
            let text = "x".repeat(bytes);
            assert_eq!(Reader::new(&rmp_serde::to_vec(&text).unwrap()).raw_text(), Some(text.as_bytes()), "{bytes}");
            assert_eq!(tokens(&rmp_serde::to_vec(&text).unwrap()), Some(vec![Token::Text(&text)]), "{bytes}");
            let items = rmp_serde::to_vec(&vec![true; bytes]).unwrap();
            assert_eq!(tokens(&items).unwrap()[0], Token::Array(bytes as u32), "{bytes}");
            let mut reader = Reader::new(&items);
            assert_eq!((reader.skip(), reader.rest()), (Some(()), &[][..]), "{bytes}");
        }
    }

    #[test]
    fn what_ends_early_or_means_nothing_is_no_token() {
        for bytes in [&[][..], &[0xc1], &[0xd4, 1, 1], &[0xa1], &[0xa1, 0xff], &[0xcd, 1], &[0xdb, 255, 255, 255, 255]]
        {
            assert_eq!(Reader::new(bytes).token(), None, "{bytes:?}");
            let mut reader = Reader::new(bytes);
            assert!(reader.raw_text().is_none_or(|text| text == [0xff]), "{bytes:?}");
            assert!(reader.rest() == bytes || reader.rest().is_empty());
        }
    }
}
