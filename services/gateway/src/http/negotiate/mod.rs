//! Content negotiation by the `Accept` header (RFC 9110, section 12.5.1).

pub(crate) mod media_type;
pub(crate) mod vary;

use std::cmp::Reverse;

use actix_web::HttpRequest;
use actix_web::http::header::{
    ACCEPT, ACCEPT_ENCODING, AcceptEncoding, Encoding as Coding, Header, Quality, QualityItem,
};
use actix_web::mime::{self, Mime};
use tidelog_core::error::Code;
use tidelog_core::wire::Encoding;

use crate::http::error::ApiError;
use crate::http::negotiate::media_type::ENCODINGS;

/// A representation that a route offers: a value of the route's own type, and the media types that name it. The first
/// media type is the one that responses have, the others are aliases.
pub(crate) type Offer<F> = (F, &'static [&'static str]);

/// The encoding of the response, for a route that responds with one body.
pub(crate) fn encoding_of(request: &HttpRequest) -> Result<Encoding, ApiError> {
    negotiate(request, &ENCODINGS)
}

/// The offer that the caller prefers; without an `Accept` header the first one.
///
/// The weight of an offer is that of the most specific media range that matches it. So `application/json;q=0, */*` asks
/// for anything but JSON. Of the offers with the highest weight the one whose media range comes first in the header is
/// taken, because many clients list what they prefer first and give no weights; then the one that the route lists first.
///
/// [`Code::NotAcceptable`] if the header excludes every offer.
pub(crate) fn negotiate<F: Copy>(request: &HttpRequest, offers: &[Offer<F>]) -> Result<F, ApiError> {
    if let Some(form) = first_choice(request, offers) {
        return Ok(form);
    }
    let ranges = ranges_of(request);
    let mut best: Option<(Quality, Reverse<usize>, F)> = None;
    for (form, media_types) in offers {
        let Some((weight, index)) = weight_of(media_types, &ranges) else { continue };
        let is_better = best.is_none_or(|(known, known_index, _)| (weight, Reverse(index)) > (known, known_index));
        if weight > Quality::ZERO && is_better {
            best = Some((weight, Reverse(index), *form));
        }
    }
    best.map(|(_, _, form)| form).ok_or_else(|| {
        let offered: Vec<_> = offers.iter().filter_map(|(_, media_types)| media_types.first().copied()).collect();
        let detail = format!("Accept excludes all that this route offers: {}", offered.join(", "));
        ApiError::new(Code::NotAcceptable, detail)
    })
}

/// The offer that almost every header asks for: any, or the media type that comes first, as it is spelled here, where no range
/// has a weight or parameter. Parsing such a header would say the same, and take 0.3 us and several allocations.
fn first_choice<F: Copy>(request: &HttpRequest, offers: &[Offer<F>]) -> Option<F> {
    let mut headers = request.headers().get_all(ACCEPT);
    let (header, None) = (headers.next(), headers.next()) else { return None };
    let accepted = header.map_or(Ok("*/*"), |header| header.to_str()).ok()?;
    if accepted == "*/*" {
        return offers.first().map(|(form, _)| *form);
    }
    let first = accepted.split(',').next().filter(|_| !accepted.contains(';'))?;
    offers.iter().find(|(_, media_types)| media_types.contains(&first)).map(|(form, _)| *form)
}

/// Whether the caller prefers a response that is compressed with zstd: what the middleware would choose too.
pub(crate) fn prefers_zstd(request: &HttpRequest) -> bool {
    let offered = [Coding::identity(), Coding::brotli(), Coding::gzip(), Coding::deflate(), Coding::zstd()];
    let accepted =
        request.headers().contains_key(ACCEPT_ENCODING).then(|| AcceptEncoding::parse(request).ok()).flatten();
    accepted.and_then(|accepted| accepted.negotiate(offered.iter())) == Some(Coding::zstd())
}

/// The media ranges of the `Accept` headers; `*/*` if there is none. A range that cannot be parsed is left out, and so is
/// a header that is not text.
fn ranges_of(request: &HttpRequest) -> Vec<QualityItem<Mime>> {
    let mut headers = request.headers().get_all(ACCEPT).filter_map(|header| header.to_str().ok()).peekable();
    if headers.peek().is_none() {
        return vec![QualityItem::max(mime::STAR_STAR)];
    }
    headers.flat_map(|header| header.split(',')).filter_map(media_type::parse).collect()
}

/// The weight of the most specific range that matches one of the media types, with the index of that range.
fn weight_of(media_types: &[&str], ranges: &[QualityItem<Mime>]) -> Option<(Quality, usize)> {
    let matches = ranges.iter().enumerate().filter_map(|(index, range)| {
        let specificity = media_types.iter().filter_map(|media_type| specificity_of(&range.item, media_type)).max()?;
        Some((specificity, range.quality, Reverse(index)))
    });
    matches.max().map(|(_, weight, Reverse(index))| (weight, index))
}

/// How specific a range is: 0 for `*/*`, 1 for `type/*`, 2 for a media type. `None` if it does not match.
fn specificity_of(range: &Mime, media_type: &str) -> Option<u8> {
    let offered_type = media_type.split('/').next().unwrap_or_default();
    match (range.type_(), range.subtype()) {
        (mime::STAR, _) => Some(0),
        (range_type, mime::STAR) => (range_type == offered_type).then_some(1),
        _ => (range.essence_str() == media_type).then_some(2),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::http::negotiate::media_type::{JSON, MESSAGE_PACK, MESSAGE_PACK_SEQUENCE, NDJSON};

    const OFFERS: [Offer<&str>; 4] =
        [("json", JSON), ("msgpack", MESSAGE_PACK), ("lines", NDJSON), ("pages", MESSAGE_PACK_SEQUENCE)];

    fn chosen(headers: &[&str]) -> String {
        let mut request = TestRequest::default();
        for header in headers {
            request = request.append_header(("accept", *header));
        }
        match negotiate(&request.to_http_request(), &OFFERS) {
            Ok(form) => form.to_owned(),
            Err(error) => error.code.to_string(),
        }
    }

    #[test]
    fn the_accept_header_chooses_as_rfc_9110_says() {
        let rows: [(&[&str], &str); 38] = [
            (&[], "json"),
            (&["*/*"], "json"),
            (&["application/*"], "json"),
            (&["application/json"], "json"),
            (&["Application/JSON ; charset=utf-8"], "json"),
            (&["application/msgpack"], "msgpack"),
            (&["application/x-msgpack"], "msgpack"),
            (&["application/vnd.msgpack"], "msgpack"),
            (&["application/x-ndjson"], "lines"),
            (&["application/msgpack-seq"], "pages"),
            // Of equal weights the first one.
            (&["application/msgpack, application/json"], "msgpack"),
            (&["application/json, application/msgpack"], "json"),
            (&["application/x-ndjson, */*"], "lines"),
            (&["text/html", "application/msgpack"], "msgpack"),
            // The higher weight.
            (&["application/json;q=0.5, application/msgpack;q=0.501"], "msgpack"),
            (&["application/json;q=0.5, application/msgpack; q=0.4"], "json"),
            (&["*/*;q=0.1, application/msgpack;q=0.9"], "msgpack"),
            (&["text/html, */*;q=0.1"], "json"),
            (&["text/html, application/*;q=0.1"], "json"),
            // The most specific range decides, not the first and not the one with the highest weight.
            (&["*/*, application/json;q=0.1"], "msgpack"),
            (&["application/*;q=0.2, application/msgpack;q=0.1, */*"], "json"),
            (&["application/*, application/json;q=0.5, application/msgpack;q=0.6, */*;q=0.9"], "lines"),
            // A weight of 0 excludes.
            (&["application/json;q=0"], "not_acceptable"),
            (&["application/json;q=0, */*"], "msgpack"),
            (&["application/json;q=0.0, application/*;q=0.5"], "msgpack"),
            (&["application/msgpack;q=0, */*;q=0.1"], "json"),
            (&["application/*;q=0, */*"], "not_acceptable"),
            (&["*/*;q=0, application/x-ndjson"], "lines"),
            (&["application/json;q=0", "application/msgpack;q=0.1"], "msgpack"),
            // Spellings that are common or allowed, if odd.
            (&["application/msgpack;"], "msgpack"),
            (&["application/msgpack ; version=5 ; q=0.3, text/html"], "msgpack"),
            (&["text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"], "json"),
            (&["application/json;q=.2, application/msgpack;q=.3"], "msgpack"),
            // What is malformed or unknown matches nothing.
            (&["text/html"], "not_acceptable"),
            (&["json"], "not_acceptable"),
            (&["application/json;q=2, application/msgpack;q=0.1"], "msgpack"),
            (&["application/json;q=often"], "not_acceptable"),
            (&[""], "not_acceptable"),
        ];
        for (headers, form) in rows {
            assert_eq!(chosen(headers), form, "{headers:?}");
        }
    }

    #[test]
    fn what_is_chosen_without_parsing_is_what_parsing_chooses() {
        let ranges = [
            "*/*",
            "application/*",
            "application/json",
            "application/msgpack",
            "application/x-msgpack",
            "text/html",
            "json",
            "application/msgpack-seq",
            "application/json;q=0.5",
            "application/json; charset=utf-8",
            "*/*;q=0.1",
            "",
        ];
        let headers =
            ranges.iter().flat_map(|one| ranges.map(|two| format!("{one}, {two}"))).chain(ranges.map(str::to_owned));
        let mut chosen_at_once = 0;
        for header in headers {
            let request = TestRequest::default().insert_header(("accept", header.as_str())).to_http_request();
            // Two headers are always parsed, and a second one that matches nothing changes nothing.
            let parsed = chosen(&[&header, "text/x-unknown"]);
            if let Some(form) = first_choice(&request, &OFFERS) {
                assert_eq!(form, parsed, "{header}");
                chosen_at_once += 1;
            }
            assert_eq!(chosen(&[&header]), parsed, "{header}");
        }
        assert!(chosen_at_once > 30, "{chosen_at_once}");
    }
}
