//! What analysts read by SQL: a typed view for each table of the catalog in force, beside the views `log.events` and
//! `log.conflicts` of the schema.
//!
//! They belong to the login that migrates, since the service's own role may create nothing.

use std::str::FromStr;

use sha2::{Digest, Sha256};
use tidelog_core::catalog::{FieldType, Table};
use tokio_postgres::{Client, Config, NoTls};

use crate::catalog::column_names::column_names;
use crate::catalog::versions::in_force_of;
use crate::db::error::StoreError;

/// The columns of every view, before those of the fields, with what they are. Last comes [`FIELDS`].
const FIXED: [(&str, &str); 5] = [
    ("workspace", "Whose record it is"),
    ("record", "Its id within table and scope"),
    ("scope", "Its scope; empty is everyone's"),
    ("version", "The position of the last event that changed what a reader sees"),
    ("updated_at", "When that event was stored"),
];
/// The column of all fields.
const FIELDS: &str = "fields";
/// Most fields that have a column: Postgres has no room for many more. The others are in `fields`.
const FIELD_COLUMNS_MAX: usize = 1_500;
/// An arbitrary number that all versions of Tidelog share: whoever holds it makes the views.
const LOCK: i64 = 0x7469_6465_6c6f_6703;

/// What making the views came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ViewsOutcome {
    /// The tables whose views were made, anew or for the first time.
    pub made: Vec<String>,
    /// The tables whose views went with them.
    pub dropped: Vec<String>,
}

/// Why the views are not those of the catalog in force. They are as they were before.
#[derive(Debug, thiserror::Error)]
pub enum ViewsError {
    /// The database or the catalog.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Postgres refused, for instance since something of somebody else's is made of a view that has to go.
    #[error(
        "the views of the tables could not be made: {0}; when that is seen to, the same `tidelog catalog apply` again makes them"
    )]
    Refused(String),
}

impl From<tokio_postgres::Error> for ViewsError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(said) => {
                let detail =
                    said.detail().map(|detail| format!(" ({})", detail.replace('\n', ", "))).unwrap_or_default();
                Self::Refused(format!("{}{detail}", said.message()))
            }
            None => Self::Store(error.into()),
        }
    }
}

/// Makes the views those of the catalog in force, in one transaction; views that are so already are left alone. `url`
/// has to be of the login that migrates. Nothing before the first catalog.
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
    // Whoever reads a view for long is not waited for: nobody could read it while we wait in front of them.
    client.batch_execute("BEGIN; SET LOCAL lock_timeout = '10s'").await?;
    client.query(include_str!("../../sql/catalog/views/lock.sql"), &[&LOCK]).await?;
    // Read under the lock: whoever comes with an older catalog comes too late.
    let row = client.query_opt(include_str!("../../sql/catalog/versions/in_force.sql"), &[]).await?;
    let Some(in_force) = row.as_ref().map(in_force_of).transpose()? else { return Ok(ViewsOutcome::default()) };
    let existing = client.query(include_str!("../../sql/catalog/views/existing.sql"), &[]).await?;
    let existing: Vec<(String, String)> = existing.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut wanted: Vec<(&str, View)> = Vec::new();
    wanted.extend(in_force.catalog.tables.iter().map(|(name, table)| (name.as_str(), View::of(name.as_str(), table))));
    let (mut outcome, mut script) = (ViewsOutcome::default(), String::new());
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
    let analyst = client.query_opt(include_str!("../../sql/catalog/views/analyst.sql"), &[]).await?;
    for (name, view) in &wanted {
        outcome.made.push((*name).to_owned());
        script.push_str(&view.script);
        script.push_str(&format!("COMMENT ON VIEW tables.{} IS {};\n", quoted_name(name), quoted(&view.comment)));
        if analyst.is_some() {
            script.push_str(&format!("GRANT SELECT ON tables.{} TO tidelog_analyst;\n", quoted_name(name)));
        }
    }
    if analyst.is_some_and(|row| !row.get::<_, bool>("may_read")) {
        // A login that may make no roles has migrated, and somebody has made this one since.
        script.push_str(
            "GRANT USAGE ON SCHEMA tables, log TO tidelog_analyst;\n\
            GRANT SELECT ON ALL TABLES IN SCHEMA tables TO tidelog_analyst;\n\
            GRANT SELECT ON log.events, log.conflicts TO tidelog_analyst;\n",
        );
    }
    client.batch_execute(&format!("{script}COMMIT")).await?;
    Ok(outcome)
}

/// How a view is made, and what is said of it: a digest of the former too, by which it is known again.
struct View {
    script: String,
    comment: String,
}

impl View {
    fn of(name: &str, table: &Table) -> Self {
        let fields: Vec<_> = table.fields.iter().take(FIELD_COLUMNS_MAX).collect();
        let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        let fixed: Vec<_> = FIXED.iter().map(|(name, _)| *name).chain([FIELDS]).collect();
        let columns = column_names(&names, &fixed);
        let view = format!("tables.{}", quoted_name(name));
        let mut select: Vec<_> = FIXED.iter().map(|(column, _)| format!("r.{column}")).collect();
        let mut comments: Vec<_> = FIXED.iter().map(|(column, what)| (*column, (*what).to_owned())).collect();
        for ((field, of), column) in fields.iter().zip(&columns) {
            select.push(format!("{} AS {}", typed(field, of.field_type), quoted_name(column)));
            comments.push((column, format!("The field {field:?}, of type {}", of.field_type)));
        }
        select.push(format!("r.{FIELDS}"));
        comments.push((FIELDS, "Every field, those without a column too".to_owned()));
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

/// The value of a field by its type: null where the record has none, or a value of another type, which only an earlier
/// catalog can have let in. No cast here ever fails.
fn typed(field: &str, field_type: FieldType) -> String {
    let json = format!("(r.{FIELDS} -> {})", quoted(field));
    let text = format!("(r.{FIELDS} ->> {})", quoted(field));
    let is_binary = format!("{json} ? '$binary' AND {json} - '$binary' = '{{}}'");
    let when =
        |is: &str, test: &str, then: String| format!("CASE WHEN jsonb_typeof({json}) = '{is}'{test} THEN {then} END");
    // A float always has a fraction, an integer never.
    let scale = |test: &str| format!(" AND scale({json}::numeric) {test}");
    match field_type {
        FieldType::Any => json,
        FieldType::Bool => when("boolean", "", format!("{json}::boolean")),
        FieldType::Integer => when("number", &scale("= 0"), format!("{json}::bigint")),
        FieldType::Float => when("number", &scale("> 0"), format!("{json}::double precision")),
        FieldType::Number => when("number", "", format!("{json}::numeric")),
        FieldType::String => when("string", "", text),
        FieldType::Time => when("string", "", format!("tidelog.time_of{text}")),
        FieldType::Binary => {
            when("object", &format!(" AND {is_binary}"), format!("decode({json} ->> '$binary', 'base64')"))
        }
        FieldType::Array => when("array", "", json.clone()),
        FieldType::Map => when("object", &format!(" AND NOT ({is_binary})"), json.clone()),
    }
}

/// An identifier, whatever is in it.
fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal, whatever is in it and however Postgres is set up.
fn quoted(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
