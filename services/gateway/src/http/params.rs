//! Query parameters: each at most once, none unknown.

use std::str::FromStr;

use actix_web::HttpRequest;
use actix_web::web::Query;
use tidelog_core::error::Code;
use tidelog_core::ids::TableName;
use tidelog_core::limits::{PAGE_EVENTS_DEFAULT, PAGE_EVENTS_MAX};

use crate::http::error::ApiError;

/// The query of a request, checked against the parameters of its route.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query; `known` are the parameters of the route.
    pub(crate) fn read(request: &HttpRequest, known: &[&str]) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_query(request.query_string())
            .map_err(|_| ApiError::new(Code::QueryInvalid, "the query cannot be parsed"))?;
        for (index, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let detail = format!("this route takes no other parameters than: {}", known.join(", "));
                return Err(ApiError::new(Code::QueryInvalid, detail));
            }
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(ApiError::new(Code::QueryInvalid, format!("{name} is given twice")));
            }
        }
        Ok(Self(pairs))
    }

    /// A parameter as it was given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// A whole number up to `max`.
    pub(crate) fn number<T: FromStr + PartialOrd + Copy + std::fmt::Display>(
        &self,
        name: &str,
        (min, max): (T, T),
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<T>().ok()).flatten();
        match number {
            Some(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::new(Code::QueryInvalid, format!("{name} is a whole number from {min} to {max}"))),
        }
    }

    /// `limit`, 1 to 10,000.
    pub(crate) fn limit(&self) -> Result<Option<usize>, ApiError> {
        self.number("limit", (1, PAGE_EVENTS_MAX))
    }

    /// `limit` of a page.
    pub(crate) fn page_limit(&self) -> Result<usize, ApiError> {
        Ok(self.limit()?.unwrap_or(PAGE_EVENTS_DEFAULT))
    }

    /// `tables`, separated by commas.
    pub(crate) fn tables(&self) -> Result<Option<Vec<TableName>>, ApiError> {
        let Some(text) = self.text("tables") else { return Ok(None) };
        let tables = text.split(',').map(TableName::parse);
        let tables = tables.collect::<Result<_, _>>().map_err(|e| ApiError::new(Code::QueryInvalid, e.to_string()))?;
        Ok(Some(tables))
    }
}
