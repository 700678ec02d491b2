//! The media types of requests and responses.

use std::str::FromStr;

use tidelog_core::wire::Encoding;

pub(crate) const JSON: &[&str] = &["application/json"];
/// The first one is the registered name, the others were in use before it was registered.
pub(crate) const MESSAGE_PACK: &[&str] = &["application/msgpack", "application/x-msgpack", "application/vnd.msgpack"];
pub(crate) const NDJSON: &[&str] = &["application/x-ndjson"];
pub(crate) const MESSAGE_PACK_SEQUENCE: &[&str] = &["application/msgpack-seq"];

/// Every encoding with the media types that name it.
pub(crate) const ENCODINGS: [(Encoding, &[&str]); 2] = [(Encoding::Json, JSON), (Encoding::MessagePack, MESSAGE_PACK)];

/// Parses a media type (`T` is `Mime`), or a media range with its weight (`T` is `QualityItem<Mime>`).
///
/// Accepts three spellings that those types do not: a space before `;` and a `;` with nothing behind it, both allowed by
/// RFC 9110, and a weight without the leading zero, since Java's `HttpURLConnection` sent `*/*; q=.2` for decades.
pub(crate) fn parse<T: FromStr>(text: &str) -> Option<T> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let text = text.trim_end_matches([' ', ';']).replace(" ;", ";").replace("q=.", "q=0.");
        text.parse().ok()
    })
}
