//! Texts of commits in the form that the server accepts: UTF-8, without NUL, of limited length.

/// Limit of an author or subject. Far above what people write, and far below the limit of an op's fields.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// A text of a commit, and whether it had to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) is_changed: bool,
}

impl Text {
    /// Converts bytes in any encoding. Bytes that are not UTF-8 and NUL become the replacement character.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let lossy = String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}");
        let text = truncate(&lossy, TEXT_BYTES_MAX).to_owned();
        Self { is_changed: text.as_bytes() != bytes, text }
    }
}

/// The longest beginning of a text that has at most `bytes_max` bytes and ends between two characters.
pub(super) fn truncate(text: &str, bytes_max: usize) -> &str {
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
    fn a_text_is_truncated_between_two_characters() {
        assert_eq!(truncate("a\u{e9}b", 2), "a");
        assert_eq!(truncate("a\u{e9}b", 3), "a\u{e9}");
        assert_eq!(truncate("a\u{e9}b", 9), "a\u{e9}b");
    }

    #[test]
    fn a_text_that_is_not_utf_8_is_read_and_marked_as_changed() {
        assert_eq!(Text::of(b"caf\xe9"), Text { text: "caf\u{fffd}".to_owned(), is_changed: true });
        assert_eq!(Text::of("caf\u{e9}".as_bytes()), Text { text: "caf\u{e9}".to_owned(), is_changed: false });
        assert!(Text::of(&vec![b'x'; TEXT_BYTES_MAX + 1]).is_changed);
    }
}
