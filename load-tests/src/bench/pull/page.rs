//! How far a page of a pull goes, read from its small members. Those come before the events, so the events of a page
//! need not be read for it; a page that has them behind is read to its end.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::msgpack::Reader;

/// How far a page goes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct PageHead {
    /// What to pull after next.
    pub(crate) cursor: String,
    /// How far the cursor covers.
    pub(crate) position: i64,
    /// Whether the log goes on.
    pub(crate) more: bool,
}

impl PageHead {
    /// Of a page in `MessagePack`.
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
        bail!("a page without cursor, position or more")
    }

    /// Of a page, or of the last line of a stream, in JSON.
    pub(crate) fn of_json(page: &[u8]) -> Result<Self> {
        if let Some(at) = find(page, b",\"events\":[") {
            let small = [&page[..at], b"}"].concat();
            if let Ok(head) = serde_json::from_slice(&small) {
                return Ok(head);
            }
        }
        let Whole { head, .. } = serde_json::from_slice(page).context("a page that cannot be read")?;
        Ok(head)
    }
}

/// A page whose events are passed over.
#[derive(Deserialize)]
struct Whole {
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

    /// The same page with its small members before the events, and behind them.
    fn pages() -> [(PageHead, String); 2] {
        let head = PageHead { cursor: "9.c0ffee".to_owned(), position: 70_009, more: true };
        let events = r#""events":[{"fields":{"text":",\"events\":[","cursor":"no"}},{"more":false}]"#;
        let small = r#""cursor":"9.c0ffee","position":70009,"more":true"#;
        let front = format!(r#"{{{small},"head":80000,{events}}}"#);
        let behind = format!(r#"{{{events},"head":80000,{small}}}"#);
        [(head.clone(), front), (head, behind)]
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
    fn what_is_in_front_is_read_alone() {
        // Behind the small members stands what is no MessagePack: it is not looked at.
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
