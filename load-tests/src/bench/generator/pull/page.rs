//! The members of a page that say how far it goes, read without decoding its events.
//!
//! The server writes them before the events. A page that has them after the events is read correctly too, but to its end.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::msgpack::Reader;

/// The members of a page that say how far it goes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct PageHead {
    /// The cursor to pull the next page from.
    pub(crate) cursor: String,
    /// The position of that cursor.
    pub(crate) position: i64,
    /// Whether the log goes on after this page.
    pub(crate) more: bool,
}

impl PageHead {
    /// Reads the head of a page in MessagePack.
    pub(crate) fn of_msgpack(page: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(page);
        let (mut cursor, mut position, mut more) = (None, None, None);
        for _ in 0..reader.map()? {
            match reader.text()? {
                "cursor" => cursor = Some(reader.text()?.to_owned()),
                "position" => position = Some(reader.number()?),
                "more" => more = Some(reader.flag()?),
                _ => reader.skip()?,
            }
            if let (Some(_), Some(position), Some(more)) = (&cursor, position, more) {
                return Ok(Self { cursor: cursor.unwrap_or_default(), position, more });
            }
        }
        bail!("a page lacks cursor, position or more")
    }

    /// Reads the head of a page in JSON, or the last line of a stream of JSON lines.
    pub(crate) fn of_json(page: &[u8]) -> Result<Self> {
        if let Some(at) = find(page, b",\"events\":[") {
            let head_only = [&page[..at], b"}"].concat();
            if let Ok(head) = serde_json::from_slice(&head_only) {
                return Ok(head);
            }
        }
        let WholePage { head, .. } = serde_json::from_slice(page).context("a page cannot be read")?;
        Ok(head)
    }
}

/// A page whose events are parsed and dropped.
#[derive(Deserialize)]
struct WholePage {
    #[serde(flatten)]
    head: PageHead,
    #[serde(rename = "events")]
    _events: Option<IgnoredAny>,
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The same page with its head before its events, and after them.
    fn pages() -> [(PageHead, String); 2] {
        let head = PageHead { cursor: "9.c0ffee".to_owned(), position: 70_009, more: true };
        let events = r#""events":[{"fields":{"text":",\"events\":[","cursor":"no"}},{"more":false}]"#;
        let members = r#""cursor":"9.c0ffee","position":70009,"more":true"#;
        let before = format!(r#"{{{members},"head":80000,{events}}}"#);
        let after = format!(r#"{{{events},"head":80000,{members}}}"#);
        [(head.clone(), before), (head, after)]
    }

    #[test]
    fn the_members_may_come_in_any_order() {
        for (head, page) in pages() {
            assert_eq!(PageHead::of_json(page.as_bytes()).unwrap(), head);
            let value: serde_json::Value = serde_json::from_str(&page).unwrap();
            assert_eq!(PageHead::of_msgpack(&rmp_serde::to_vec_named(&value).unwrap()).unwrap(), head);
        }
    }

    #[test]
    fn events_after_the_head_are_not_read() {
        // The events are invalid MessagePack, which shows if they are read.
        let mut page = rmp_serde::to_vec_named(&json!({"cursor": "1.a", "more": false, "position": 1})).unwrap();
        page[0] += 1;
        page.extend_from_slice(b"\xa6events\xc1");
        assert_eq!(PageHead::of_msgpack(&page).unwrap().position, 1);
    }

    #[test]
    fn a_page_without_a_cursor_is_an_error() {
        assert!(PageHead::of_json(b"{\"position\":1,\"more\":false}").is_err());
        assert!(PageHead::of_msgpack(&rmp_serde::to_vec_named(&json!({"more": false})).unwrap()).is_err());
    }
}
