//! Cross-origin requests: which web pages may call the API from a browser. See the Fetch standard.
//!
//! There is no credentials mode, since there are no cookies: a page has to have a device's token.

use std::net::IpAddr;
use std::str::FromStr;

use actix_web::Error;
use actix_web::HttpResponse;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::web::Data;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, content-encoding, accept, if-none-match, last-event-id, x-request-id",
);
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static("ETag, Retry-After, X-Request-Id");
/// How long a browser may keep the answer to `OPTIONS`, in seconds. Chromium keeps none for longer.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// Origins whose web pages may call the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigin {
    /// Every origin.
    Any,
    /// Every origin on the machine of the browser, for development.
    Loopback,
    /// One origin, as browsers write it.
    Listed(String),
}

impl FromStr for CorsOrigin {
    type Err = String;

    /// Parses `*`, or an origin such as `https://app.example.com`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let uri = text.parse::<Uri>().ok();
        let parts = uri.as_ref().and_then(|uri| uri.scheme_str().zip(uri.authority()));
        let is_origin = parts.is_some_and(|(scheme, authority)| {
            format!("{scheme}://{authority}") == text
                && !authority.as_str().contains(['@', '*'])
                && text == text.to_lowercase()
        });
        match is_origin {
            true => Ok(Self::Listed(text.to_owned())),
            false => {
                Err("has to be * or an origin like https://app.example.com, in lower case and without a path"
                    .to_owned())
            }
        }
    }
}

impl CorsOrigin {
    fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Loopback => is_loopback(origin),
            Self::Listed(listed) => listed == origin,
        }
    }
}

fn is_loopback(origin: &str) -> bool {
    let Ok(uri) = origin.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// The middleware: answers the question that a browser asks before a request of another origin, and allows the page to read
/// responses and errors.
pub(crate) async fn cors<B: MessageBody>(
    origins: Data<Vec<CorsOrigin>>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let allowed = request.headers().get(header::ORIGIN).and_then(|origin| allowed_origin(&origins, origin));
    let mut response = if allowed.is_some() && request.method() == Method::OPTIONS {
        request.into_response(preflight()).map_into_right_body()
    } else {
        next.call(request).await?.map_into_left_body()
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
    }
    Ok(response)
}

/// The value of `Access-Control-Allow-Origin`, if the origin may call.
fn allowed_origin(origins: &[CorsOrigin], origin: &HeaderValue) -> Option<HeaderValue> {
    if origins.contains(&CorsOrigin::Any) {
        return Some(HeaderValue::from_static("*"));
    }
    let text = origin.to_str().ok()?;
    origins.iter().any(|allowed| allowed.allows(text)).then(|| origin.clone())
}

fn preflight() -> HttpResponse {
    let mut response = HttpResponse::NoContent().finish();
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for text in ["https://app.example.com", "http://localhost:5173", "capacitor://localhost", "http://[::1]:3000"] {
            assert_eq!(text.parse(), Ok(CorsOrigin::Listed(text.to_owned())));
        }
        assert_eq!("*".parse(), Ok(CorsOrigin::Any));
        for text in [
            "",
            "null",
            "app.example.com",
            "https://app.example.com/",
            "https://a.b/c",
            "HTTPS://a.b",
            "https://u@a.b",
            "https://*.b",
        ] {
            assert!(text.parse::<CorsOrigin>().is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_the_machine_of_the_browser_alone() {
        for origin in [
            "http://localhost:3000",
            "http://127.0.0.1",
            "https://127.8.8.8:1",
            "http://[::1]:80",
            "http://app.localhost",
        ] {
            assert!(CorsOrigin::Loopback.allows(origin), "{origin}");
        }
        for origin in
            ["http://example.com", "http://localhost.example.com", "http://10.0.0.1", "null", "http://notlocalhost"]
        {
            assert!(!CorsOrigin::Loopback.allows(origin), "{origin}");
        }
    }
}
