//! A decoder of chunked bodies (RFC 9112, 7.1) that is fed piece by piece.

use anyhow::{Result, bail, ensure};

/// Limit of the line that holds the size of a chunk.
const SIZE_LINE_BYTES_MAX: usize = 64;

/// A decoder of one chunked body.
#[derive(Debug, Default)]
pub(super) struct ChunkedDecoder {
    next: Next,
}

/// What the next byte of the body belongs to.
#[derive(Debug, Default, PartialEq)]
enum Next {
    /// The line with the size of a chunk.
    #[default]
    Size,
    /// The data of a chunk, of which this many bytes are left.
    Data(usize),
    /// The line end after the data of a chunk.
    DataEnd,
    /// The empty line after the last chunk.
    LastLine,
    /// Nothing: the body has ended.
    End,
}

impl ChunkedDecoder {
    /// Decodes `bytes` and passes the data in them to `take`. Returns how many bytes were decoded; the rest has to be fed
    /// again together with what follows it.
    pub(super) fn feed(&mut self, bytes: &[u8], take: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<usize> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            match self.next {
                Next::Data(left) => {
                    let count = left.min(rest.len());
                    if count > 0 {
                        take(&rest[..count])?;
                    }
                    used += count;
                    self.next = if count == left { Next::DataEnd } else { Next::Data(left - count) };
                    if count < left {
                        return Ok(used);
                    }
                }
                Next::End => return Ok(used),
                Next::Size | Next::DataEnd | Next::LastLine => {
                    let Some(line) = line_of(rest)? else { return Ok(used) };
                    used += line.len() + 2;
                    self.next = self.after(line)?;
                }
            }
        }
    }

    /// Whether the body was decoded to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.next == Next::End
    }

    fn after(&self, line: &[u8]) -> Result<Next> {
        Ok(match self.next {
            Next::Size => match size_of(line)? {
                0 => Next::LastLine,
                size => Next::Data(size),
            },
            Next::DataEnd | Next::LastLine if !line.is_empty() => bail!("a chunk is longer than its size says"),
            Next::DataEnd => Next::Size,
            Next::LastLine | Next::Data(_) | Next::End => Next::End,
        })
    }
}

fn line_of(bytes: &[u8]) -> Result<Option<&[u8]>> {
    let window = &bytes[..bytes.len().min(SIZE_LINE_BYTES_MAX)];
    match window.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => Ok(Some(&bytes[..end])),
        None => {
            ensure!(bytes.len() < SIZE_LINE_BYTES_MAX, "a chunk has no line with its size");
            Ok(None)
        }
    }
}

fn size_of(line: &[u8]) -> Result<usize> {
    let digits = std::str::from_utf8(line)?.split(';').next().unwrap_or_default();
    Ok(usize::from_str_radix(digits.trim(), 16)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"5\r\nhello\r\n1;x=y\r\n \r\na\r\n0123456789\r\n0\r\n\r\n";

    #[test]
    fn a_body_is_the_same_wherever_it_is_cut() {
        for cut in 0..BODY.len() {
            let (mut decoder, mut body) = (ChunkedDecoder::default(), Vec::new());
            let mut take = |piece: &[u8]| {
                body.extend_from_slice(piece);
                Ok(())
            };
            let used = decoder.feed(&BODY[..cut], &mut take).unwrap();
            assert!(!decoder.has_ended());
            let used = used + decoder.feed(&BODY[used..], &mut take).unwrap();
            assert!(decoder.has_ended(), "cut at {cut}");
            assert_eq!((body.as_slice(), used), (&b"hello 0123456789"[..], BODY.len()), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_an_error() {
        let fails = |bytes: &[u8]| ChunkedDecoder::default().feed(bytes, &mut |_| Ok(())).is_err();
        assert!(fails(b"x\r\n"));
        assert!(fails(b"1\r\nab\r\n"));
        assert!(fails(&[b'1'; 100]));
    }
}
