//! The server that a measurement runs against.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::cluster::{Database, Postgres};
use crate::bench::http::{self, Connection};
use crate::output;
use crate::server::{Data, Server};

/// The histogram of how many ops the server appended in one transaction.
const GROUP_OPS_METRIC: &str = "tidelog_group_commit_ops";
/// Ops of a transaction that are assumed if the server lacks that metric.
const GROUP_OPS_DEFAULT: f64 = 100.0;

/// A server with a gateway, on a database of its own.
pub(crate) struct MeasuredServer {
    /// The server's process. Declared first, so that it is dropped, and so stopped, before the rest.
    pub(crate) process: Server,
    /// The server's database.
    pub(crate) database: Database,
    /// The address of its HTTP listener.
    pub(crate) address: SocketAddr,
}

impl MeasuredServer {
    /// Starts a server and waits until it accepts requests.
    pub(crate) async fn start(program: &Path, database: Database, args: &[String]) -> Result<Self> {
        let mut process = Server::spawn(program, Data::Database(&database.url), args)?;
        let url = process.listening().await.with_context(|| process.log_tail())?;
        Ok(Self { process, database, address: http::address_of(&url)? })
    }

    /// The server's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The mean number of ops that the server has appended in one transaction so far.
    pub(crate) fn group_ops(&self) -> Result<f64> {
        let mut connection = Connection::open(self.address)?;
        let response = connection.exchange(&http::get("/metrics", "", "text/plain"))?;
        let metrics = String::from_utf8_lossy(response);
        let value = |suffix: &str| value_of(&metrics, &format!("{GROUP_OPS_METRIC}{suffix}"));
        let mean = value("_sum").zip(value("_count")).filter(|(_, count)| *count > 0.0).map(|(sum, count)| sum / count);
        if mean.is_none() {
            output::note(format_args!(
                "the server does not report {GROUP_OPS_METRIC}: {GROUP_OPS_DEFAULT} ops a transaction are assumed"
            ));
        }
        Ok(mean.unwrap_or(GROUP_OPS_DEFAULT).max(1.0))
    }

    /// Checks that the log holds exactly as many pushed events as ops were acknowledged.
    pub(crate) async fn check_events(&self, acknowledged: u64) -> Result<()> {
        let sql = "SELECT count(*) FROM tidelog.log WHERE device <> '00000000-0000-0000-0000-000000000000'";
        let stored: i64 = self.database.connect().await?.query_one(sql, &[]).await?.try_get(0)?;
        ensure!(stored.cast_unsigned() == acknowledged, "{acknowledged} ops were acknowledged, {stored} are stored");
        Ok(())
    }

    /// Stops the server and drops its database.
    pub(crate) async fn end(self, postgres: &Postgres) -> Result<()> {
        self.process.stop()?;
        postgres.remove(self.database).await
    }
}

/// The value of a metric without labels in Prometheus' text format.
fn value_of(metrics: &str, name: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_read_by_its_whole_name() {
        let metrics = "# HELP a_sum x\na_sum_of 7\na_sum 12.5\na_count 2\n";
        assert_eq!(value_of(metrics, "a_sum"), Some(12.5));
        assert_eq!(value_of(metrics, "a_count"), Some(2.0));
        assert_eq!(value_of(metrics, "a"), None);
    }
}
