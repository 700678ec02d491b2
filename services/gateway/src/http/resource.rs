//! A path with the methods that it has. Any other method gets 405 and an `Allow` header.

use actix_web::guard::fn_guard;
use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use tidelog_core::error::Code;

use crate::http::error::ApiError;

/// Builds a resource for actix, which responds to every method that it does not have with 405 and an `Allow` header.
pub(crate) struct Methods {
    resource: actix_web::Resource,
    allowed: Vec<&'static str>,
}

/// A resource without methods, to which they are added.
pub(crate) fn resource(path: &'static str) -> Methods {
    let resource = web::resource(path).guard(fn_guard(move |context| is_spelled_as(path, context.head().uri.path())));
    Methods { resource, allowed: Vec::new() }
}

/// Whether a path as sent has the fixed segments of its resource, whose path `path` ends with, as they are. actix also takes
/// them percent-encoded, which a proxy that decides by paths may not.
fn is_spelled_as(path: &str, sent: &str) -> bool {
    let mut segments = sent.rsplit('/');
    let is_as_named = |name: &str| segments.next().is_some_and(|segment| name.starts_with('{') || segment == name);
    path.trim_start_matches('/').rsplit('/').all(is_as_named) && segments.all(|segment| !segment.contains('%'))
}

macro_rules! method {
    ($name:ident, $text:literal) => {
        pub(crate) fn $name<F, Args>(mut self, handler: F) -> Self
        where
            F: actix_web::Handler<Args>,
            Args: actix_web::FromRequest + 'static,
            F::Output: actix_web::Responder + 'static,
        {
            self.allowed.push($text);
            self.resource = self.resource.route(web::$name().to(handler));
            self
        }
    };
}

impl Methods {
    /// Adds `GET`, and `HEAD`, whose response is that of `GET` without the body.
    pub(crate) fn get<F, Args>(mut self, handler: F) -> Self
    where
        F: actix_web::Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        self.allowed.push("GET, HEAD");
        self.resource = self.resource.route(web::get().to(handler.clone())).route(web::head().to(handler));
        self
    }

    method!(post, "POST");
    method!(patch, "PATCH");
    method!(delete, "DELETE");

    pub(crate) fn build(self) -> actix_web::Resource {
        let allowed = self.allowed.join(", ");
        self.resource.default_service(web::route().to(move |_: HttpRequest| {
            let allowed = allowed.clone();
            async move {
                let error = ApiError::new(Code::MethodNotAllowed, format!("this route has the methods {allowed}"));
                Err::<HttpResponse, _>(ApiError { allow: Some(allowed), ..error })
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parameters_of_a_path_may_be_percent_encoded() {
        let rows = [
            ("/sync/push", "/api/v1/sync/push", true),
            ("/sync/push", "/api/v1/%73ync/push", false),
            ("/sync/push", "/api/v1/sync%2Fpush", false),
            ("/sync/push", "/%61pi/v1/sync/push", false),
            ("/records/{table}/{record}", "/api/v1/records/notes/a%2Fb", true),
            ("/records/{table}/{record}", "/api/v1/%72ecords/notes/a", false),
            ("/records/{table}/{record}", "/api/v%31/records/notes/a", false),
            ("/records/{table}/{record}/history", "/api/v1/records/notes/a%2Fb/history", true),
            ("/records/{table}/{record}/history", "/api/v1/records/notes/a/histor%79", false),
            ("/health/live", "/health/live", true),
            ("/metrics", "/metric%73", false),
        ];
        for (path, sent, is_found) in rows {
            assert_eq!(is_spelled_as(path, sent), is_found, "{sent}");
        }
    }
}
