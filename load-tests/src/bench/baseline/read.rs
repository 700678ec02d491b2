//! The baseline of pull: the same columns of the same positions, streamed by the database driver, each value read.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use tokio::task::JoinSet;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use crate::bench::environment::cluster::Database;
use crate::bench::measure::{Clients, LoadControl};

/// The statement of the server, from which the columns are taken.
const PULL_SQL: &str = include_str!("../../../../services/postgres/sql/log/scan/visible_from.sql");

/// A range of positions in a workspace's log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogRange {
    /// The workspace.
    pub(crate) workspace: Uuid,
    /// The position before the first one.
    pub(crate) after: i64,
    /// The last position.
    pub(crate) to: i64,
}

/// Lets readers read a range at the same time, each once. Returns the rows of all of them, and the elapsed seconds.
pub(crate) async fn read(database: &Database, range: LogRange, readers: usize) -> Result<(u64, f64)> {
    let mut tasks = JoinSet::new();
    let mut clients = Vec::with_capacity(readers);
    for _ in 0..readers {
        clients.push(prepare(database).await?);
    }
    let begin = Instant::now();
    for (client, statement) in clients {
        tasks.spawn(async move { consume(&client, &statement, range).await });
    }
    let mut rows = 0;
    while let Some(read) = tasks.join_next().await {
        rows += read??;
    }
    Ok((rows, begin.elapsed().as_secs_f64()))
}

/// Starts readers that read the same range again and again.
pub(crate) async fn start(
    database: &Database,
    range: LogRange,
    readers: usize,
    control: &Arc<LoadControl>,
) -> Result<Clients> {
    let mut clients = Clients::new();
    for _ in 0..readers {
        let (client, statement) = prepare(database).await?;
        let control = Arc::clone(control);
        clients.spawn(async move {
            while !control.is_stopped() {
                control.add(consume(&client, &statement, range).await?);
            }
            Ok(())
        });
    }
    Ok(clients)
}

async fn prepare(database: &Database) -> Result<(Client, Statement)> {
    let client = database.connect().await?;
    let sql = format!(
        "SELECT {} FROM tidelog.log WHERE workspace = $1 AND position > $2 AND position <= $3 ORDER BY position",
        columns_of(PULL_SQL)?
    );
    let statement = client.prepare(&sql).await?;
    Ok((client, statement))
}

async fn consume(client: &Client, statement: &Statement, range: LogRange) -> Result<u64> {
    let params: [&(dyn ToSql + Sync); 3] = [&range.workspace, &range.after, &range.to];
    let mut rows = pin!(client.query_raw(statement, params).await?);
    let (mut count, mut sum, columns) = (0, 0u64, statement.columns().len());
    while let Some(row) = rows.try_next().await? {
        for column in 0..columns {
            let TouchedValue(value) = row.try_get(column)?;
            sum = sum.wrapping_add(value);
        }
        count += 1;
    }
    ensure!(std::hint::black_box(sum) > 0, "no row holds a value");
    Ok(count)
}

/// The text between SELECT and FROM.
fn columns_of(sql: &str) -> Result<&str> {
    let (_, after_select) = sql.split_once("SELECT ").context("the statement of pull has no SELECT")?;
    Ok(after_select.split_once("FROM ").context("the statement of pull has no FROM")?.0)
}

/// The sum of a value's length and first byte: proof that the value was read, at hardly any cost.
struct TouchedValue(u64);

impl<'a> FromSql<'a> for TouchedValue {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.len() as u64 + raw.first().map_or(0, |byte| u64::from(*byte))))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(0))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_the_server() {
        let columns = columns_of(PULL_SQL).unwrap();
        assert!(columns.starts_with("position"));
        assert!(!columns.contains("FROM"));
    }
}
