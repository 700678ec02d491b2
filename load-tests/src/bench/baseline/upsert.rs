//! The baseline of projecting: plain upserts of the resulting records into a copy of their table, in statements of as many
//! rows as a step of the projector has events.

use std::error::Error;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::{BufMut, BytesMut};
use tokio::task::JoinSet;
use tokio_postgres::Client;
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::bench::environment::cluster::Database;

/// Rows of a statement: as many as a step of the projector has events.
const STATEMENT_ROWS: usize = 2_000;
/// The columns of the records' table in order, each with its type and whether it is part of the primary key.
const COLUMNS: &str = "SELECT quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
        EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey))
    FROM pg_attribute a
    WHERE a.attrelid = 'tidelog.records_0'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
/// The storage options of the records' table, which `CREATE TABLE ... LIKE` does not copy.
const STORAGE_OPTIONS: &str =
    "SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE oid = 'tidelog.records_0'::regclass";

/// A copy of the records' table: the same columns and indexes, at first without rows.
pub(crate) struct RecordsCopy {
    database: Database,
    select: String,
    upsert: String,
}

/// The columns of up to [`STATEMENT_ROWS`] rows, each value in binary format.
type Batch = Vec<Column>;

#[derive(Debug)]
struct Column(Vec<Option<Vec<u8>>>);

/// A value in binary format.
struct Raw(Option<Vec<u8>>);

impl RecordsCopy {
    /// Creates the copy, with the indexes and storage options of the original.
    pub(crate) async fn create(database: &Database) -> Result<Self> {
        let client = database.connect().await?;
        client
            .batch_execute(
                "CREATE SCHEMA IF NOT EXISTS bench; CREATE TABLE bench.records (LIKE tidelog.records_0 INCLUDING ALL)",
            )
            .await?;
        if let Some(options) = client.query_one(STORAGE_OPTIONS, &[]).await?.try_get::<_, Option<String>>(0)? {
            client.batch_execute(&format!("ALTER TABLE bench.records SET ({options})")).await?;
        }
        let (mut names, mut arrays, mut keys, mut changes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for row in client.query(COLUMNS, &[]).await? {
            let (name, column_type, is_key): (String, String, bool) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            arrays.push(format!("${}::{column_type}[]", names.len() + 1));
            match is_key {
                true => keys.push(name.clone()),
                false => changes.push(format!("{name} = excluded.{name}")),
            }
            names.push(name);
        }
        let (columns, arrays, keys, changes) =
            (names.join(", "), arrays.join(", "), keys.join(", "), changes.join(", "));
        Ok(Self {
            database: database.clone(),
            select: format!("SELECT {columns} FROM tidelog.records_0 WHERE workspace = $1 ORDER BY version"),
            upsert: format!(
                "INSERT INTO bench.records ({columns}) SELECT * FROM unnest({arrays}) ON CONFLICT ({keys}) DO UPDATE SET {changes}"
            ),
        })
    }

    /// Upserts the current records of these workspaces into the copy, over a number of connections. Returns how many they
    /// are, and the seconds that the upserts took. The records are read before the clock starts.
    pub(crate) async fn upsert(&self, workspaces: &[Uuid], connections: usize) -> Result<(u64, f64)> {
        let mut work: Vec<(Client, Vec<Batch>)> = Vec::with_capacity(connections);
        for _ in 0..connections {
            work.push((self.database.connect().await?, Vec::new()));
        }
        let mut rows = 0;
        for (index, workspace) in workspaces.iter().enumerate() {
            let (client, batches) = &mut work[index % connections];
            let records = client.query(&self.select, &[workspace]).await?;
            rows += records.len() as u64;
            for records in records.chunks(STATEMENT_ROWS) {
                batches.push(batch_of(records)?);
            }
        }
        ensure!(rows > 0, "there are no records to upsert");
        let begin = Instant::now();
        let mut tasks = JoinSet::new();
        for (client, batches) in work {
            let sql = self.upsert.clone();
            tasks.spawn(async move {
                let statement = client.prepare(&sql).await?;
                for batch in &batches {
                    let params: Vec<&(dyn ToSql + Sync)> = batch.iter().map(|column| column as _).collect();
                    client.execute(&statement, &params).await?;
                }
                Ok::<_, tokio_postgres::Error>(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done?.context("upserting records")?;
        }
        Ok((rows, begin.elapsed().as_secs_f64()))
    }
}

fn batch_of(records: &[tokio_postgres::Row]) -> Result<Batch> {
    let columns = records.first().map_or(0, |row| row.columns().len());
    let column = |index| {
        let values = records.iter().map(|row| row.try_get::<_, Raw>(index).map(|raw| raw.0));
        Ok(Column(values.collect::<Result<_, tokio_postgres::Error>>()?))
    };
    (0..columns).map(column).collect()
}

impl ToSql for Column {
    fn to_sql(&self, column: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Kind::Array(element) = column.kind() else { return Err(format!("{column} is not an array type").into()) };
        let has_null = self.0.iter().any(Option::is_none);
        for number in [1, i32::from(has_null), element.oid().cast_signed(), i32::try_from(self.0.len())?, 1] {
            out.put_i32(number);
        }
        for value in &self.0 {
            match value {
                None => out.put_i32(-1),
                Some(bytes) => {
                    out.put_i32(i32::try_from(bytes.len())?);
                    out.put_slice(bytes);
                }
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(column: &Type) -> bool {
        matches!(column.kind(), Kind::Array(_))
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Some(raw.to_vec())))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_written_as_the_driver_writes_an_array() {
        let (mut expected, mut written) = (BytesMut::new(), BytesMut::new());
        vec![Some("ab"), None, Some("")].to_sql(&Type::TEXT_ARRAY, &mut expected).unwrap();
        let column = Column(vec![Some(b"ab".to_vec()), None, Some(Vec::new())]);
        column.to_sql(&Type::TEXT_ARRAY, &mut written).unwrap();
        // The driver counts subscripts from 0.
        assert_eq!(written[..16], expected[..16]);
        assert_eq!(written[20..], expected[20..]);
    }
}
