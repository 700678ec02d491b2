//! The workspaces and devices that push and pull, made the way users make them, once for all measurements.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use tidelog_core::wire::{Encoding, RegisterResponse};
use uuid::Uuid;

use super::cluster::{Database, Postgres};
use super::http::{self, Connection};
use crate::client::Client;
use crate::server::{Data, Server};

/// The one role of `catalog.toml`.
const ROLE: &str = "member";

/// A device with its credential.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    /// Its workspace.
    pub(crate) workspace: Uuid,
    /// Its id.
    pub(crate) device: Uuid,
    /// Its token.
    pub(crate) token: String,
}

/// A database with devices that have pushed nothing yet, to be copied for each measurement.
pub(crate) struct Fleet {
    /// The database to copy.
    pub(crate) template: Database,
    /// Devices that have a workspace each.
    pub(crate) apart: Vec<Device>,
    /// Devices that share one workspace.
    pub(crate) together: Vec<Device>,
}

#[derive(Deserialize)]
struct Created {
    keys: std::collections::BTreeMap<String, String>,
}

impl Fleet {
    /// Makes it with so many devices of the one and of the other kind, by a server that runs for as long as that takes.
    pub(crate) async fn prepare(
        postgres: &Postgres,
        program: &Path,
        (count_apart, count_together): (usize, usize),
    ) -> Result<Self> {
        let template = postgres.create(None).await?;
        let catalog = write_catalog(postgres)?;
        let args = ["--catalog", &catalog.to_string_lossy(), "--roles", "gateway", "--admin-listen", "127.0.0.1:0"];
        let args = args.map(str::to_owned);
        let mut server = Server::spawn(program, Data::Database(&template.url), &args)?;
        let url = server.listening().await?;
        let mut operator = Operator::new(&mut server).await?;
        let client = Client::new(&url, Encoding::Json)?;
        let mut apart = Vec::with_capacity(count_apart);
        for number in 0..count_apart {
            let key = operator.workspace(&format!("apart {number}"))?;
            apart.push(register(&client, &key, number).await?);
        }
        let key = operator.workspace("together")?;
        let mut together = Vec::with_capacity(count_together);
        for number in 0..count_together {
            together.push(register(&client, &key, number).await?);
        }
        server.stop()?;
        Ok(Self { template, apart, together })
    }

    /// The first `count` devices, each in its own workspace or all in one.
    pub(crate) fn devices(&self, count: usize, share_workspace: bool) -> &[Device] {
        let devices = if share_workspace { &self.together } else { &self.apart };
        &devices[..count.min(devices.len())]
    }
}

/// Who makes workspaces.
struct Operator {
    token: String,
    connection: Connection,
}

impl Operator {
    async fn new(server: &mut Server) -> Result<Self> {
        let answer = server.ask(&["key", "create", "--admin", "--json"]).await?;
        let token = answer["key"].as_str().or_else(|| answer["token"].as_str());
        let token = token.context("`tidelog key create --admin` names no token")?.to_owned();
        let connection = Connection::open(http::address_of(&server.administered().await?)?)?;
        Ok(Self { token, connection })
    }

    /// A new workspace's enrollment key.
    fn workspace(&mut self, name: &str) -> Result<String> {
        let body = serde_json::json!({"name": name}).to_string();
        let request = http::post("/admin/v1/workspaces", &self.token, "application/json", body.as_bytes());
        let created: Created = serde_json::from_slice(self.connection.exchange(&request)?)?;
        created.keys.get(ROLE).cloned().context("a workspace without a key")
    }
}

/// Registers a device by an enrollment key.
pub(crate) async fn register(client: &Client, key: &str, number: usize) -> Result<Device> {
    let RegisterResponse { device, workspace, token, .. } = client.register(key, &format!("device {number}")).await?;
    Ok(Device { workspace: workspace.0, device: device.0, token })
}

fn write_catalog(postgres: &Postgres) -> Result<PathBuf> {
    let path = postgres.dir().with_file_name("catalog.toml");
    fs::write(&path, include_str!("catalog.toml"))?;
    Ok(path)
}
