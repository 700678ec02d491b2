//! The `Vary` header: what of a request a response depends on, so that a cache between does not mix representations.

use actix_web::http::header::{HeaderMap, HeaderValue, VARY};

/// The headers by which each response may differ. An error differs by them too: whether there is one may depend on
/// `Accept`, and it is compressed like any other body.
const NEGOTIATED: [&str; 2] = ["Accept", "Accept-Encoding"];

/// Sets `Vary` to the negotiated headers, and to others that a response names itself. Each is named once, since actix adds
/// `accept-encoding` on its own where it compresses.
pub(crate) fn set_vary(headers: &mut HeaderMap) {
    let named: Vec<String> = headers.get_all(VARY).filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
    let mut names = NEGOTIATED.to_vec();
    for name in named.iter().flat_map(|value| value.split(',')).map(str::trim) {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name);
        }
    }
    if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
        headers.insert(VARY, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_is_named_once() {
        let rows: [(&[&'static str], &str); 4] = [
            (&[], "Accept, Accept-Encoding"),
            (&["accept-encoding"], "Accept, Accept-Encoding"),
            (&["Origin", "accept-encoding, origin"], "Accept, Accept-Encoding, Origin"),
            (&["Origin, Accept"], "Accept, Accept-Encoding, Origin"),
        ];
        for (given, expected) in rows {
            let mut headers = HeaderMap::new();
            given.iter().for_each(|value| headers.append(VARY, HeaderValue::from_static(value)));
            set_vary(&mut headers);
            assert_eq!(headers.get_all(VARY).collect::<Vec<_>>(), [expected], "{given:?}");
        }
    }
}
