//! What every measurement takes place in: the cluster, the server's program, the devices.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::args::Plan;
use super::cluster::{Database, Postgres};
use super::fleet::Fleet;
use super::http::{self, Connection};
use crate::output;
use crate::server::{Answering, Data, Server};

/// Ops of a group where the server does not tell.
const GROUP_OPS_DEFAULT: f64 = 100.0;
/// The histogram of the ops that were appended together.
const GROUP_OPS: &str = "tidelog_group_commit_ops";

/// The laboratory.
pub(crate) struct Lab {
    /// The cluster.
    pub(crate) postgres: Postgres,
    /// The server's program.
    pub(crate) program: PathBuf,
    /// Who pushes.
    pub(crate) fleet: Fleet,
    /// How much is measured.
    pub(crate) plan: Plan,
    /// Appends that the server has under way at once.
    pub(crate) append_workers: usize,
}

/// A server on a database of its own.
pub(crate) struct Subject {
    /// The server. Declared first, so that it ends before anything else.
    pub(crate) server: Server,
    /// Its database.
    pub(crate) database: Database,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Lab {
    /// A fresh database with the devices, who have pushed nothing.
    pub(crate) async fn database(&self) -> Result<Database> {
        self.postgres.create(Some(&self.fleet.template)).await
    }

    /// Starts a server of these roles, with a gateway among them.
    pub(crate) async fn serve(&self, database: Database, roles: &str) -> Result<Subject> {
        let lanes = self.append_workers.to_string();
        let args = ["--roles", roles, "--append-lanes", lanes.as_str()].map(str::to_owned);
        let mut server = Server::spawn(&self.program, Data::Database(&database.url), &args)?;
        let url = server.listening().await.with_context(|| server.last_words())?;
        Ok(Subject { server, database, address: http::address_of(&url)? })
    }

    /// Starts a projector without a gateway.
    pub(crate) fn project(&self, database: &Database) -> Result<Server> {
        let args = ["--roles", "projector"].map(str::to_owned);
        Server::spawn(&self.program, Data::Database(&database.url), &args)
    }

    /// Runs a command of the server's program on a database for so long at most; its answer in JSON.
    pub(crate) async fn ask(&self, database: &Database, args: &[&str], longest: Duration) -> Result<serde_json::Value> {
        let data = ["--database-url".into(), database.url.clone().into()];
        Answering { program: &self.program, data: &data, longest }.ask(args).await
    }
}

impl Subject {
    /// The server's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// How many ops the server appended together, on average so far.
    pub(crate) fn group_ops(&self) -> Result<f64> {
        let mut connection = Connection::open(self.address)?;
        let answer = connection.exchange(&http::get("/metrics", "", "text/plain"))?;
        let text = String::from_utf8_lossy(answer);
        let value = |suffix: &str| value_of(&text, &format!("{GROUP_OPS}{suffix}"));
        let mean = value("_sum").zip(value("_count")).filter(|(_, count)| *count > 0.0).map(|(sum, count)| sum / count);
        if mean.is_none() {
            output::note(format_args!(
                "the server has no {GROUP_OPS}: transactions of {GROUP_OPS_DEFAULT} are assumed"
            ));
        }
        Ok(mean.unwrap_or(GROUP_OPS_DEFAULT).max(1.0))
    }

    /// Checks that the log holds what was acknowledged, no event more or less.
    pub(crate) async fn check_events(&self, acknowledged: u64) -> Result<()> {
        let sql = "SELECT count(*) FROM tidelog.log WHERE device <> '00000000-0000-0000-0000-000000000000'";
        let stored: i64 = self.database.connect().await?.query_one(sql, &[]).await?.try_get(0)?;
        ensure!(stored.cast_unsigned() == acknowledged, "{acknowledged} ops were acknowledged, {stored} are stored");
        Ok(())
    }

    /// Ends the server and removes its database.
    pub(crate) async fn end(self, lab: &Lab) -> Result<()> {
        self.server.stop()?;
        lab.postgres.remove(self.database).await
    }
}

/// The value of a metric without labels.
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
