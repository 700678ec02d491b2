//! Conditional requests: `ETag` and `If-None-Match`.

use actix_web::http::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse};

/// `304 Not Modified`, if the caller has the representation that `etag` (in quotes) names.
pub(crate) fn not_modified(request: &HttpRequest, etag: &str) -> Option<HttpResponse> {
    let header = request.headers().get(IF_NONE_MATCH).and_then(|header| header.to_str().ok())?;
    let is_known = header.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag);
    is_known.then(|| HttpResponse::NotModified().insert_header((ETAG, etag)).finish())
}

/// The same response with an `ETag` header.
pub(crate) fn with_etag(mut response: HttpResponse, etag: &str) -> HttpResponse {
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(ETAG, etag);
    }
    response
}
