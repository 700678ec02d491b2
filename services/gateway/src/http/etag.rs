//! Conditional requests: `ETag` and `If-None-Match` (RFC 9110, section 13).

use actix_web::http::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::wire::Encoding;

use crate::http::error::ApiError;

/// The `ETag` of a representation: of one version of a resource, in one encoding.
///
/// It is weak, because a compressed response has it too, and its bytes are others.
pub(crate) struct Etag(String);

impl Etag {
    /// The tag of a version, which has to be of letters, digits, dots and hyphens, in an encoding.
    pub(crate) fn new(version: &str, encoding: Encoding) -> Self {
        let encoding = match encoding {
            Encoding::Json => "json",
            Encoding::MessagePack => "msgpack",
        };
        Self(format!("\"{version}.{encoding}\""))
    }

    /// The response with this tag; 304 without a body if the caller has the representation already.
    pub(crate) fn respond(
        &self,
        request: &HttpRequest,
        response: impl FnOnce() -> Result<HttpResponse, ApiError>,
    ) -> Result<HttpResponse, ApiError> {
        let mut response = if self.is_known(request) { HttpResponse::NotModified().finish() } else { response()? };
        if let Ok(tag) = HeaderValue::from_str(&format!("W/{}", self.0)) {
            response.headers_mut().insert(ETAG, tag);
        }
        Ok(response)
    }

    /// Whether `If-None-Match` names this tag, by weak comparison: what has `W/` in front is compared without it. `*` names
    /// every representation.
    fn is_known(&self, request: &HttpRequest) -> bool {
        let headers = request.headers().get_all(IF_NONE_MATCH).filter_map(|header| header.to_str().ok());
        // No tag of this server has a comma, so a tag that is cut at one of its own equals none.
        let mut tags = headers.flat_map(|header| header.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.0)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_tag_is_known_by_weak_comparison_in_any_list() {
        let tag = Etag::new("1.7", Encoding::Json);
        let rows: [(&[&str], bool); 12] = [
            (&[], false),
            (&["\"1.7.json\""], true),
            (&["W/\"1.7.json\""], true),
            (&["*"], true),
            (&["\"a\", W/\"1.7.json\" ,\"b\""], true),
            (&["\"a\"", "\"1.7.json\""], true),
            (&["\"1.7.msgpack\""], false),
            (&["\"1.8.json\""], false),
            (&["1.7.json"], false),
            (&["w/\"1.7.json\""], false),
            (&["W/W/\"1.7.json\""], false),
            (&["\"a,1.7.json\", \"*\""], false),
        ];
        for (headers, known) in rows {
            let mut request = TestRequest::default();
            for header in headers {
                request = request.append_header((IF_NONE_MATCH, *header));
            }
            assert_eq!(tag.is_known(&request.to_http_request()), known, "{headers:?}");
        }
    }
}
