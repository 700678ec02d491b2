//! Texts of commits as the server takes them: UTF-8 without NUL, and not without end.

/// Bytes of an author or subject that are kept: far above what people write, far below the limit of an op's fields.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// A text, and whether it is not what the commit holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) is_changed: bool,
}

impl Text {
    /// Reads bytes in whatever encoding.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let lossy = String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}");
        let text = cut(&lossy, TEXT_BYTES_MAX).to_owned();
        Self { is_changed: text.as_bytes() != bytes, text }
    }
}

/// As much of a text as fits, cut between two characters.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_two_characters() {
        assert_eq!(cut("a\u{e9}b", 2), "a");
        assert_eq!(cut("a\u{e9}b", 3), "a\u{e9}");
        assert_eq!(cut("a\u{e9}b", 9), "a\u{e9}b");
    }

    #[test]
    fn a_text_that_is_not_utf_8_is_read_and_told() {
        assert_eq!(Text::of(b"caf\xe9"), Text { text: "caf\u{fffd}".to_owned(), is_changed: true });
        assert_eq!(Text::of("caf\u{e9}".as_bytes()), Text { text: "caf\u{e9}".to_owned(), is_changed: false });
        assert!(Text::of(&vec![b'x'; TEXT_BYTES_MAX + 1]).is_changed);
    }
}
