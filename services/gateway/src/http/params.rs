//! Query parameters: each at most once, none unknown.

use std::str::FromStr;

use actix_web::HttpRequest;
use actix_web::web::Query;
use tidelog_core::error::Code;
use tidelog_core::ids::TableName;
use tidelog_core::limits::{PAGE_EVENTS_DEFAULT, PAGE_EVENTS_MAX};

use crate::http::error::ApiError;

/// The query parameters of a request: all known to its route, none given twice.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Parses the query. `known` are the parameters that the route has; any other one is an error.
    pub(crate) fn read(request: &HttpRequest, known: &[&str]) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_query(request.query_string())
            .map_err(|_| ApiError::new(Code::QueryInvalid, "the query cannot be parsed"))?;
        for (index, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let detail = match known {
                    [] => "this route has no parameters".to_owned(),
                    known => format!("this route has no parameters but: {}", known.join(", ")),
                };
                return Err(ApiError::new(Code::QueryInvalid, detail));
            }
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(ApiError::new(Code::QueryInvalid, format!("{name} is given twice")));
            }
        }
        Ok(Self(pairs))
    }

    /// The text of a parameter, if it was given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is a whole number from `min` to `max`, if it was given.
    pub(crate) fn number<T: FromStr + PartialOrd + Copy + std::fmt::Display>(
        &self,
        name: &str,
        (min, max): (T, T),
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<T>().ok()).flatten();
        match number {
            Some(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::new(Code::QueryInvalid, format!("{name} must be a whole number from {min} to {max}"))),
        }
    }

    /// The parameter `limit`: 1 to [`PAGE_EVENTS_MAX`].
    pub(crate) fn limit(&self) -> Result<Option<usize>, ApiError> {
        self.number("limit", (1, PAGE_EVENTS_MAX))
    }

    /// The parameter `limit`, or the default size of a page.
    pub(crate) fn page_limit(&self) -> Result<usize, ApiError> {
        Ok(self.limit()?.unwrap_or(PAGE_EVENTS_DEFAULT))
    }

    /// A parameter that is `true` or `false`; false if it was not given.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ApiError::new(Code::QueryInvalid, format!("{name} must be true or false"))),
        }
    }

    /// The parameter `tables`: table names separated by commas.
    pub(crate) fn tables(&self) -> Result<Option<Vec<TableName>>, ApiError> {
        let Some(text) = self.text("tables") else { return Ok(None) };
        let tables = text.split(',').map(TableName::parse);
        let tables = tables.collect::<Result<_, _>>().map_err(|e| ApiError::new(Code::QueryInvalid, e.to_string()))?;
        Ok(Some(tables))
    }
}
