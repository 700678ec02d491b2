//! A path with the methods that it has. Any other method gets 405 and an `Allow` header.

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
pub(crate) fn resource(path: &str) -> Methods {
    Methods { resource: web::resource(path), allowed: Vec::new() }
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
