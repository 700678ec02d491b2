//! The workspaces and devices that push and pull. They are registered once through the API, and copied with their
//! database for each measurement.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use tidelog_core::wire::{Encoding, RegisterResponse};
use uuid::Uuid;

use super::cluster::{Database, Postgres};
use crate::bench::http::{self, Connection};
use crate::client::Client;
use crate::server::{Data, Server};

/// The one role of `catalog.toml`.
const ROLE: &str = "member";
/// The name of the workspace that devices share.
const SHARED: &str = "shared";

/// A device with its credential.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    /// The id of its workspace.
    pub(crate) workspace: Uuid,
    /// The device's id.
    pub(crate) device: Uuid,
    /// Its bearer token.
    pub(crate) token: String,
}

/// All devices of a run, and the database that they are registered in.
pub(crate) struct Devices {
    /// A database in which no device has pushed yet. Each measurement runs on a copy of it.
    pub(crate) template: Database,
    /// Devices that each have a workspace of their own.
    pub(crate) in_own_workspaces: Vec<Device>,
    /// Devices that share one workspace.
    pub(crate) in_one_workspace: Vec<Device>,
}

/// How many devices of each kind are registered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeviceCounts {
    /// Devices that each have a workspace of their own.
    pub(crate) in_own_workspaces: usize,
    /// Devices that share one workspace.
    pub(crate) in_one_workspace: usize,
}

/// The response of `POST /admin/v1/workspaces`.
#[derive(Deserialize)]
struct CreatedWorkspace {
    /// An enrollment key for each role.
    keys: BTreeMap<String, String>,
}

impl Devices {
    /// Registers the devices, through a server that runs for that time only.
    pub(crate) async fn register(postgres: &Postgres, program: &Path, counts: DeviceCounts) -> Result<Self> {
        let template = postgres.create(None).await?;
        let catalog = write_catalog(postgres)?;
        let args = ["--catalog", &catalog.to_string_lossy(), "--roles", "gateway", "--admin-listen", "127.0.0.1:0"];
        let args = args.map(str::to_owned);
        let mut server = Server::spawn(program, Data::Database(&template.url), &args)?;
        let url = server.listening().await?;
        let mut admin = AdminClient::connect(&mut server).await?;
        let client = Client::new(&url, Encoding::Json)?;
        let mut in_own_workspaces = Vec::with_capacity(counts.in_own_workspaces);
        for number in 0..counts.in_own_workspaces {
            let key = admin.create_workspace(&format!("own {number}"))?;
            in_own_workspaces.push(register(&client, &key, number).await?);
        }
        admin.create_workspace(SHARED)?;
        // The key of a new workspace registers too few devices an hour.
        let create = ["key", "create", "--workspace", SHARED, "--role", ROLE, "--no-rate-limit", "--json"];
        let created = server.run_command(&create).await?;
        let key = created["key"].as_str().context("`tidelog key create` printed no key")?.to_owned();
        let mut in_one_workspace = Vec::with_capacity(counts.in_one_workspace);
        for number in 0..counts.in_one_workspace {
            in_one_workspace.push(register(&client, &key, number).await?);
        }
        server.stop()?;
        Ok(Self { template, in_own_workspaces, in_one_workspace })
    }

    /// The first `count` devices: of those in one workspace, or of those in workspaces of their own.
    pub(crate) fn first(&self, count: usize, one_workspace: bool) -> &[Device] {
        let devices = if one_workspace { &self.in_one_workspace } else { &self.in_own_workspaces };
        &devices[..count.min(devices.len())]
    }
}

/// A client of the server's admin API.
struct AdminClient {
    token: String,
    connection: Connection,
}

impl AdminClient {
    /// Creates an admin key on the command line and connects to the admin listener.
    async fn connect(server: &mut Server) -> Result<Self> {
        let created = server.run_command(&["key", "create", "--admin", "--json"]).await?;
        let token = created["key"].as_str().or_else(|| created["token"].as_str());
        let token = token.context("`tidelog key create --admin` printed no token")?.to_owned();
        let connection = Connection::open(http::address_of(&server.admin_listening().await?)?)?;
        Ok(Self { token, connection })
    }

    /// Creates a workspace and returns its enrollment key.
    fn create_workspace(&mut self, name: &str) -> Result<String> {
        let body = serde_json::json!({"name": name}).to_string();
        let request = http::post("/admin/v1/workspaces", &self.token, "application/json", body.as_bytes());
        let created: CreatedWorkspace = serde_json::from_slice(self.connection.exchange(&request)?)?;
        created.keys.get(ROLE).cloned().with_context(|| format!("the new workspace has no key for role {ROLE}"))
    }
}

/// Registers a device with an enrollment key.
pub(crate) async fn register(client: &Client, key: &str, number: usize) -> Result<Device> {
    let RegisterResponse { device, workspace, token, .. } = client.register(key, &format!("device {number}")).await?;
    Ok(Device { workspace: workspace.0, device: device.0, token })
}

fn write_catalog(postgres: &Postgres) -> Result<PathBuf> {
    let path = postgres.dir().with_file_name("catalog.toml");
    fs::write(&path, include_str!("catalog.toml"))?;
    Ok(path)
}
