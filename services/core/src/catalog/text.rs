//! Parses a catalog in TOML, and reports the line and column of a fault.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::catalog::{Catalog, CatalogError, CatalogFile};
use crate::error::plain_message;

impl Catalog {
    /// Parses and checks a catalog in TOML. Unknown keys, unknown words and contradictions are errors, with line and
    /// column.
    ///
    /// ```
    /// use tidelog_core::catalog::{Catalog, OnDelete};
    /// use tidelog_core::ids::TableName;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let catalog = Catalog::parse(
    ///     r#"
    ///     roles = ["manager", "staff"]
    ///
    ///     [tables.notes]
    ///     on_delete = "update_wins"
    ///
    ///     [tables.notes.fields]
    ///     title = { type = "string", required = true }
    ///     owner = { rule = "first_write_wins" }
    ///     votes = { merge = "sum" }
    ///     "#,
    /// )?;
    /// let notes = &catalog.tables[&TableName::parse("notes")?];
    /// assert_eq!((notes.on_delete, notes.strict), (OnDelete::UpdateWins, false));
    /// assert_eq!(notes.rule.name().to_string(), "last_write_wins", "the default");
    ///
    /// let error = Catalog::parse("roles = [\"staff\"]\n[tables.notes]\nwrite = [\"boss\"]").unwrap_err();
    /// assert_eq!(error.to_string(), "line 3, column 1: tables.notes.write: role \"boss\" is not in roles");
    /// # Ok(())
    /// # }
    /// ```
    pub fn parse(text: &str) -> Result<Self, CatalogError> {
        let file = toml::from_str::<CatalogFile>(text).map_err(|e| CatalogError {
            line_column: e.span().map(|span| line_column_of(text, span)),
            message: plain_message(e.message()),
        })?;
        Self::check(file).map_err(|fault| CatalogError {
            line_column: span_of(text, &fault.path).map(|span| line_column_of(text, span)),
            message: format!("{}: {}", fault.path.join("."), fault.message),
        })
    }
}

/// The span of the deepest key of a path that exists in the text.
fn span_of(text: &str, path: &[String]) -> Option<Range<usize>> {
    let document = DeTable::parse(text).ok()?;
    let mut span = document.span();
    let mut table = Some(document.get_ref());
    for key in path {
        let Some((found, value)) = table.and_then(|table| table.get_key_value(key.as_str())) else { break };
        span = found.span();
        table = match value.get_ref() {
            DeValue::Table(inner) => Some(inner),
            _ => None,
        };
    }
    Some(span)
}

fn line_column_of(text: &str, span: Range<usize>) -> (usize, usize) {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
}
