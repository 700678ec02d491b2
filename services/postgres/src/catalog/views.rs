//! Views for analysts: a typed SQL view of each table of the catalog in force, beside the views `log.events` and
//! `log.conflicts` of the schema.
//!
//! They belong to the login that migrates, since the service's role may not create anything.

use std::str::FromStr;

use sha2::{Digest, Sha256};
use tidelog_core::catalog::{FieldType, Table};
use tokio_postgres::{Client, Config, NoTls};

use crate::catalog::column_names::column_names;
use crate::catalog::versions::catalog_of;
use crate::db::error::StoreError;

/// The names of the columns of every view that come before the fields, with their comments. The last column is
/// [`FIELDS_COLUMN`].
///
/// Another text here would make every server drop and create its views once, which fails where an analyst's own view
/// depends on one of them.
const FIXED_COLUMNS: [(&str, &str); 5] = [
    ("workspace", "Whose record it is"),
    ("record", "Its id within table and scope"),
    ("scope", "Its scope; empty is everyone's"),
    ("version", "The position of the last event that changed what a reader sees"),
    ("updated_at", "When that event was stored"),
];
/// The column with all fields.
const FIELDS_COLUMN: &str = "fields";
/// Most fields that get a column, since Postgres allows few more. The column `fields` has the others.
const FIELD_COLUMNS_MAX: usize = 1_500;
/// The key of the advisory lock under which the views are made: an arbitrary number that all versions of Tidelog share.
const VIEWS_LOCK_KEY: i64 = 0x7469_6465_6c6f_6703;

/// The result of making the views.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ViewsOutcome {
    /// The tables whose views were made or replaced.
    pub made: Vec<String>,
    /// The tables that are no longer in the catalog, and whose views were dropped.
    pub dropped: Vec<String>,
    /// Whether there is no role `tidelog_analyst`, so that nobody was granted to read the views.
    pub lacks_analyst_role: bool,
}

impl ViewsOutcome {
    /// What an operator has to do so that analysts can read the views; `None` if they can.
    pub fn advice(&self) -> Option<&'static str> {
        self.lacks_analyst_role.then_some(
            "there is no role tidelog_analyst, so analysts cannot read the SQL views: run `CREATE ROLE tidelog_analyst NOLOGIN` \
             as a superuser, then `tidelog migrate`",
        )
    }
}

/// Why the views do not follow the catalog in force. They are unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ViewsError {
    /// The database or the catalog could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Postgres refused, for instance because an object of somebody else depends on a view that has to be dropped.
    #[error(
        "the views of the tables could not be made: {0}; resolve that and run the same `tidelog catalog apply` again"
    )]
    Refused(String),
}

impl From<tokio_postgres::Error> for ViewsError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db_error) => {
                let detail =
                    db_error.detail().map(|detail| format!(" ({})", detail.replace('\n', ", "))).unwrap_or_default();
                Self::Refused(format!("{}{detail}", db_error.message()))
            }
            None => Self::Store(error.into()),
        }
    }
}

/// Makes the views follow the catalog in force, in one transaction. Views that do already are left alone. `url` has to
/// be of the login that migrates. Does nothing before the first catalog.
pub async fn apply(url: &str) -> Result<ViewsOutcome, ViewsError> {
    let config = Config::from_str(url).map_err(|e| StoreError::Unavailable(e.to_string()))?;
    let (client, connection) = config.connect(NoTls).await?;
    let driver = tokio::spawn(connection);
    let outcome = apply_with(&client).await;
    // Closing the connection rolls back what was not committed.
    drop(client);
    let _ = driver.await;
    outcome
}

async fn apply_with(client: &Client) -> Result<ViewsOutcome, ViewsError> {
    // A long query on a view is not waited for: nobody else could read the view while this waits for the lock.
    client.batch_execute("BEGIN; SET LOCAL lock_timeout = '10s'").await?;
    client.query(include_str!("../../sql/catalog/views/lock.sql"), &[&VIEWS_LOCK_KEY]).await?;
    // Read with the lock held, so that no process makes the views of an older catalog afterwards.
    let row = client.query_opt(include_str!("../../sql/catalog/versions/in_force.sql"), &[]).await?;
    let analyst = client.query_opt(include_str!("../../sql/catalog/views/analyst.sql"), &[]).await?;
    let mut outcome = ViewsOutcome { lacks_analyst_role: analyst.is_none(), ..ViewsOutcome::default() };
    let Some(in_force) = row.as_ref().map(catalog_of).transpose()? else { return Ok(outcome) };
    let existing = client.query(include_str!("../../sql/catalog/views/existing.sql"), &[]).await?;
    let existing: Vec<(String, String)> = existing.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut wanted: Vec<(&str, View)> = Vec::new();
    wanted.extend(in_force.catalog.tables.iter().map(|(name, table)| (name.as_str(), View::of(name.as_str(), table))));
    let mut script = String::new();
    for (name, comment) in &existing {
        match wanted.iter().position(|(wanted, _)| wanted == name) {
            Some(at) if wanted[at].1.comment == *comment => {
                wanted.remove(at);
                continue;
            }
            Some(_) => {}
            None => outcome.dropped.push(name.clone()),
        }
        script.push_str(&format!("DROP VIEW tables.{};\n", quoted_name(name)));
    }
    for (name, view) in &wanted {
        outcome.made.push((*name).to_owned());
        script.push_str(&view.script);
        script.push_str(&format!("COMMENT ON VIEW tables.{} IS {};\n", quoted_name(name), quoted(&view.comment)));
        if analyst.is_some() {
            script.push_str(&format!("GRANT SELECT ON tables.{} TO tidelog_analyst;\n", quoted_name(name)));
        }
    }
    if analyst.is_some_and(|row| !row.get::<_, bool>("may_read")) {
        // The login that migrated was not allowed to create roles, and somebody has created this one since.
        script.push_str(
            "GRANT USAGE ON SCHEMA tables, log TO tidelog_analyst;\n\
            GRANT SELECT ON ALL TABLES IN SCHEMA tables TO tidelog_analyst;\n\
            GRANT SELECT ON log.events, log.conflicts TO tidelog_analyst;\n",
        );
    }
    client.batch_execute(&format!("{script}COMMIT")).await?;
    Ok(outcome)
}

/// A view: the SQL that makes it, and its comment. The comment has a digest of the SQL, which shows whether an existing
/// view is the same.
struct View {
    script: String,
    comment: String,
}

impl View {
    fn of(name: &str, table: &Table) -> Self {
        let fields: Vec<_> = table.fields.iter().take(FIELD_COLUMNS_MAX).collect();
        let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        let fixed: Vec<_> = FIXED_COLUMNS.iter().map(|(name, _)| *name).chain([FIELDS_COLUMN]).collect();
        let columns = column_names(&names, &fixed);
        let view = format!("tables.{}", quoted_name(name));
        let mut select: Vec<_> = FIXED_COLUMNS.iter().map(|(column, _)| format!("r.{column}")).collect();
        let mut comments: Vec<_> = FIXED_COLUMNS.iter().map(|(column, what)| (*column, (*what).to_owned())).collect();
        for ((field, of), column) in fields.iter().zip(&columns) {
            select.push(format!("{} AS {}", typed(field, of.field_type), quoted_name(column)));
            comments.push((column, format!("The field {field:?}, of type {}", of.field_type)));
        }
        select.push(format!("r.{FIELDS_COLUMN}"));
        comments.push((FIELDS_COLUMN, "Every field, those without a column too".to_owned()));
        let select = select.join(",\n    ");
        let mut script = format!(
            "CREATE VIEW {view} WITH (security_barrier) AS SELECT {select}\n\
            FROM tidelog.live_records r WHERE r.table_name = {};\n",
            quoted(name)
        );
        for (column, what) in comments {
            script.push_str(&format!("COMMENT ON COLUMN {view}.{} IS {};\n", quoted_name(column), quoted(&what)));
        }
        let digest = Sha256::digest(&script);
        let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let comment = format!("The records of {name} that live (made as {digest})");
        Self { script, comment }
    }
}

/// The SQL for a field's value in the field's type. It is null if the record has no value, or one of another type,
/// which an earlier catalog must have allowed. No cast ever fails.
fn typed(field: &str, field_type: FieldType) -> String {
    let json = format!("(r.{FIELDS_COLUMN} -> {})", quoted(field));
    let text = format!("(r.{FIELDS_COLUMN} ->> {})", quoted(field));
    let is_binary = format!("{json} ? '$binary' AND {json} - '$binary' = '{{}}'");
    let when =
        |is: &str, test: &str, then: String| format!("CASE WHEN jsonb_typeof({json}) = '{is}'{test} THEN {then} END");
    // The JSON of a float always has a fraction, and that of an integer never.
    let scale = |test: &str| format!(" AND scale({json}::numeric) {test}");
    match field_type {
        FieldType::Any => json,
        FieldType::Bool => when("boolean", "", format!("{json}::boolean")),
        FieldType::Integer => when("number", &scale("= 0"), format!("{json}::bigint")),
        // An integer that is too large for a float is of another type, from an earlier catalog.
        FieldType::Float => {
            let test = format!(" AND (scale({json}::numeric) > 0 OR abs({json}::numeric) <= 9007199254740992)");
            when("number", &test, format!("{json}::double precision"))
        }
        FieldType::Number => when("number", "", format!("{json}::numeric")),
        FieldType::String => when("string", "", text),
        FieldType::Time => {
            let of_iso8601 = format!("tidelog.time_of({})", rfc3339_of_iso8601(&text));
            when("string", "", format!("coalesce(tidelog.time_of{text}, {of_iso8601})"))
        }
        FieldType::Binary => {
            when("object", &format!(" AND {is_binary}"), format!("decode({json} ->> '$binary', 'base64')"))
        }
        FieldType::Array => when("array", "", json.clone()),
        FieldType::Map => when("object", &format!(" AND NOT ({is_binary})"), json.clone()),
    }
}

/// The SQL for a time in RFC 3339, which `tidelog.time_of` reads, of a text that may lack the seconds, or the colon or
/// the minutes of its offset.
fn rfc3339_of_iso8601(text: &str) -> String {
    let replace =
        |text: String, pattern: &str, by: &str| format!("regexp_replace({text}, {}, {})", quoted(pattern), quoted(by));
    let with_seconds = replace(text.to_owned(), "^(.{16})([Zz+-])", r"\1:00\2");
    let with_minutes = replace(with_seconds, "([+-][0-9]{2})$", r"\1:00");
    replace(with_minutes, "([+-][0-9]{2})([0-9]{2})$", r"\1:\2")
}

/// An SQL identifier for any name.
fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// An SQL text literal for any text, whatever the settings of Postgres.
fn quoted(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
