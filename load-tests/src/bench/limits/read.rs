//! The limit of a pull: the same columns over the same positions, streamed by the driver and looked at, each of them.

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

use crate::bench::cluster::Database;
use crate::bench::measure::{Clients, Pace};

/// The server's own statement, for the names of its columns.
const PULL: &str = include_str!("../../../../services/postgres/sql/log/scan/visible_from.sql");

/// A slice of a log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogSlice {
    /// Whose log.
    pub(crate) workspace: Uuid,
    /// Behind which position.
    pub(crate) after: i64,
    /// Up to which.
    pub(crate) to: i64,
}

/// Reads a slice once by each of some readers at the same time; the rows, and the seconds of it.
pub(crate) async fn read(database: &Database, slice: LogSlice, readers: usize) -> Result<(u64, f64)> {
    let mut tasks = JoinSet::new();
    let mut clients = Vec::with_capacity(readers);
    for _ in 0..readers {
        clients.push(prepare(database).await?);
    }
    let begin = Instant::now();
    for (client, statement) in clients {
        tasks.spawn(async move { consume(&client, &statement, slice).await });
    }
    let mut rows = 0;
    while let Some(read) = tasks.join_next().await {
        rows += read??;
    }
    Ok((rows, begin.elapsed().as_secs_f64()))
}

/// Starts readers who read the same slice over and over.
pub(crate) async fn start(database: &Database, slice: LogSlice, readers: usize, pace: &Arc<Pace>) -> Result<Clients> {
    let mut clients = Clients::new();
    for _ in 0..readers {
        let (client, statement) = prepare(database).await?;
        let pace = Arc::clone(pace);
        clients.spawn(async move {
            while !pace.is_over() {
                pace.add(consume(&client, &statement, slice).await?);
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
        columns_of(PULL)?
    );
    let statement = client.prepare(&sql).await?;
    Ok((client, statement))
}

async fn consume(client: &Client, statement: &Statement, slice: LogSlice) -> Result<u64> {
    let params: [&(dyn ToSql + Sync); 3] = [&slice.workspace, &slice.after, &slice.to];
    let mut rows = pin!(client.query_raw(statement, params).await?);
    let (mut count, mut seen, columns) = (0, 0u64, statement.columns().len());
    while let Some(row) = rows.try_next().await? {
        for column in 0..columns {
            let Looked(value) = row.try_get(column)?;
            seen = seen.wrapping_add(value);
        }
        count += 1;
    }
    ensure!(std::hint::black_box(seen) > 0, "rows without values");
    Ok(count)
}

/// The columns between SELECT and FROM.
fn columns_of(sql: &str) -> Result<&str> {
    let (_, behind) = sql.split_once("SELECT ").context("the pull's statement selects nothing")?;
    Ok(behind.split_once("FROM ").context("the pull's statement selects from nothing")?.0)
}

/// A value that was looked at: its length and its first byte.
struct Looked(u64);

impl<'a> FromSql<'a> for Looked {
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
        let columns = columns_of(PULL).unwrap();
        assert!(columns.starts_with("position"));
        assert!(!columns.contains("FROM"));
    }
}
