//! Chunked bodies (RFC 9112, 7.1), taken apart as they come.

use anyhow::{Result, bail, ensure};

/// Longest line with the size of a chunk.
const SIZE_LINE_BYTES_MAX: usize = 64;

/// Where in a chunked body the reader is.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    at: At,
}

#[derive(Debug, Default, PartialEq)]
enum At {
    /// Before the line with a chunk's size.
    #[default]
    Size,
    /// Within a chunk, with so many bytes to come.
    Data(usize),
    /// Before the line end behind a chunk.
    AfterData,
    /// Before the line end behind the last chunk.
    LastLine,
    /// After all of it.
    End,
}

impl Chunked {
    /// Takes what has come, gives the data of it to `take`, and returns how many bytes it used. What it does not use
    /// has to come again with more behind it.
    pub(super) fn feed(&mut self, bytes: &[u8], take: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<usize> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            match self.at {
                At::Data(left) => {
                    let count = left.min(rest.len());
                    if count > 0 {
                        take(&rest[..count])?;
                    }
                    used += count;
                    self.at = if count == left { At::AfterData } else { At::Data(left - count) };
                    if count < left {
                        return Ok(used);
                    }
                }
                At::End => return Ok(used),
                At::Size | At::AfterData | At::LastLine => {
                    let Some(line) = line_of(rest)? else { return Ok(used) };
                    used += line.len() + 2;
                    self.at = self.after(line)?;
                }
            }
        }
    }

    /// Whether the body has come whole.
    pub(super) fn has_ended(&self) -> bool {
        self.at == At::End
    }

    fn after(&self, line: &[u8]) -> Result<At> {
        Ok(match self.at {
            At::Size => match size_of(line)? {
                0 => At::LastLine,
                size => At::Data(size),
            },
            At::AfterData | At::LastLine if !line.is_empty() => bail!("a chunk is longer than it says"),
            At::AfterData => At::Size,
            At::LastLine | At::Data(_) | At::End => At::End,
        })
    }
}

fn line_of(bytes: &[u8]) -> Result<Option<&[u8]>> {
    let window = &bytes[..bytes.len().min(SIZE_LINE_BYTES_MAX)];
    match window.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => Ok(Some(&bytes[..end])),
        None => {
            ensure!(bytes.len() < SIZE_LINE_BYTES_MAX, "a chunk has no size");
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
            let (mut chunks, mut body) = (Chunked::default(), Vec::new());
            let mut take = |piece: &[u8]| {
                body.extend_from_slice(piece);
                Ok(())
            };
            let used = chunks.feed(&BODY[..cut], &mut take).unwrap();
            assert!(!chunks.has_ended());
            let used = used + chunks.feed(&BODY[used..], &mut take).unwrap();
            assert!(chunks.has_ended(), "cut at {cut}");
            assert_eq!((body.as_slice(), used), (&b"hello 0123456789"[..], BODY.len()), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_an_error() {
        let fails = |bytes: &[u8]| Chunked::default().feed(bytes, &mut |_| Ok(())).is_err();
        assert!(fails(b"x\r\n"));
        assert!(fails(b"1\r\nab\r\n"));
        assert!(fails(&[b'1'; 100]));
    }
}
