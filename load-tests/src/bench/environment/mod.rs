//! What measurements run on: a Postgres cluster, the server's program, registered devices, and the plan of the run.

pub(crate) mod cluster;
pub(crate) mod devices;
mod measured_server;
mod slow_flush;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use self::cluster::{Database, Postgres};
use self::devices::Devices;
pub(crate) use self::measured_server::MeasuredServer;
use super::plan::Plan;
use crate::server::{Data, JsonCommands, Server};

/// The environment of a run.
pub(crate) struct Environment {
    /// The cluster.
    pub(crate) postgres: Postgres,
    /// The server's program.
    pub(crate) program: PathBuf,
    /// The devices that push and pull.
    pub(crate) devices: Devices,
    /// What is measured, how often and for how long.
    pub(crate) plan: Plan,
    /// Append workers of each server.
    pub(crate) append_workers: usize,
}

impl Environment {
    /// Creates a database in which the devices are registered and have pushed nothing.
    pub(crate) async fn database(&self) -> Result<Database> {
        self.postgres.create(Some(&self.devices.template)).await
    }

    /// Starts a server with these roles, which have to include the gateway.
    pub(crate) async fn serve(&self, database: Database, roles: &str) -> Result<MeasuredServer> {
        // The older name of --append-workers, since --tidelog may name a server that was built before the new one.
        let args = ["--roles", roles, "--append-lanes", &self.append_workers.to_string()].map(str::to_owned);
        MeasuredServer::start(&self.program, database, &args).await
    }

    /// Starts a server that is a projector only.
    pub(crate) fn project(&self, database: &Database) -> Result<Server> {
        let args = ["--roles", "projector"].map(str::to_owned);
        Server::spawn(&self.program, Data::Database(&database.url), &args)
    }

    /// Runs a `tidelog` command on a database and returns the JSON that it prints. Fails if it takes longer than
    /// `timeout`.
    pub(crate) async fn run_command(
        &self,
        database: &Database,
        args: &[&str],
        timeout: Duration,
    ) -> Result<serde_json::Value> {
        let data = ["--database-url".into(), database.url.clone().into()];
        JsonCommands { program: &self.program, data: &data, timeout }.run(args).await
    }
}
