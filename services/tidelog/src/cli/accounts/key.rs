//! `tidelog key`: creates, lists and revokes enrollment keys, analyst tokens and admin tokens.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use tidelog_core::ids::{Role, Scopes, WorkspaceId};
use tidelog_core::limits::REGISTRATIONS_PER_HOUR_DEFAULT;
use tidelog_core::time::UnixMs;
use tidelog_gateway::Runtime;
use tidelog_postgres::{Credential, CredentialKind, NewEnrollmentKey, Store};
use uuid::Uuid;

use crate::cli::accounts::workspace;
use crate::cli::connect::with_store;
use crate::cli::global::Global;
use crate::cli::output::{Output, table};

#[derive(Subcommand)]
pub(crate) enum Key {
    /// Create an enrollment key, an analyst token or an admin token; it is not shown again
    Create(Create),
    /// List the enrollment keys and analyst tokens of a workspace: what they grant, never the secrets
    List {
        /// Id or name of the workspace
        #[arg(long)]
        workspace: String,
    },
    /// Revoke a key or token; the devices that a key has registered stay
    Revoke {
        /// Id or name of the workspace
        #[arg(long)]
        workspace: String,
        /// Id of the key or token, as `key list` shows it
        key: Uuid,
    },
}

#[derive(Args)]
pub(crate) struct Create {
    /// Id or name of the workspace; needed for all but an admin token
    #[arg(long, required_unless_present = "admin")]
    workspace: Option<String>,
    /// Role of the devices that register with the key; needed for an enrollment key
    #[arg(long, required_unless_present_any = ["analyst", "admin"], conflicts_with_all = ["analyst", "admin"], value_parser = |text: &str| Role::parse(text))]
    role: Option<Role>,
    /// Scope of the devices that register with the key, besides the empty scope; repeatable; '*' for every scope
    #[arg(long = "scope", value_name = "SCOPE", conflicts_with_all = ["analyst", "admin"])]
    scopes: Vec<String>,
    /// Maximum number of devices that may register with the key [default: no limit]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(1..), conflicts_with_all = ["analyst", "admin"])]
    uses: Option<i32>,
    /// Maximum number of devices that may register with the key in an hour
    #[arg(long, value_name = "NUMBER", default_value_t = REGISTRATIONS_PER_HOUR_DEFAULT, value_parser = clap::value_parser!(i32).range(1..))]
    per_hour: i32,
    /// Let any number of devices register in an hour
    #[arg(long, conflicts_with = "per_hour")]
    no_rate_limit: bool,
    /// How long the key is valid, such as 12h or 30d [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = hours, conflicts_with_all = ["analyst", "admin"])]
    expires_in: Option<i64>,
    /// Create an analyst token instead, which may read the workspace and write nothing
    #[arg(long, conflicts_with = "admin")]
    analyst: bool,
    /// Create an admin token instead, for the admin API
    #[arg(long)]
    admin: bool,
}

/// The keys and tokens of a workspace, as JSON.
#[derive(Serialize)]
struct KeyList {
    keys: Vec<KeyRow>,
}

/// A key or token, as JSON.
#[derive(Serialize)]
struct KeyRow {
    key: Uuid,
    kind: String,
    role: String,
    scopes: Vec<String>,
    registrations: i32,
    created_at: UnixMs,
    expires_at: Option<UnixMs>,
    revoked: bool,
}

async fn list(store: &Store, workspace: &str, output: &Output) -> anyhow::Result<()> {
    let rows = store.keys(workspace::find(store, workspace).await?).await?.into_iter().map(|row| KeyRow {
        key: row.key,
        kind: row.kind,
        role: row.role,
        scopes: row.scopes,
        registrations: row.registrations,
        created_at: row.created_at,
        expires_at: row.expires_at,
        revoked: row.revoked,
    });
    let list = KeyList { keys: rows.collect() };
    output.print(&list, |list| {
        let header = ["KEY", "KIND", "ROLE", "SCOPES", "DEVICES", "EXPIRES", "REVOKED"];
        table(&header, list.keys.iter().map(key_cells))
    })
}

fn key_cells(key: &KeyRow) -> [String; 7] {
    [
        key.key.to_string(),
        key.kind.clone(),
        key.role.clone(),
        key.scopes.join(" "),
        key.registrations.to_string(),
        key.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
        key.revoked.to_string(),
    ]
}

/// A created key or token, as JSON.
#[derive(Serialize)]
struct CreatedKey {
    key: String,
}

impl Key {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        with_store(global, async |store| self.run_with(store, output).await).await
    }

    async fn run_with(self, store: &Store, output: &Output) -> anyhow::Result<()> {
        let runtime = Runtime::default();
        match self {
            Self::Create(create) => {
                let created = CreatedKey { key: create.run_with(store, &runtime).await? };
                output.print(&created, |created| created.key.clone())
            }
            Self::List { workspace } => list(store, &workspace, output).await,
            Self::Revoke { workspace, key } => {
                let workspace = workspace::find(store, &workspace).await?;
                if !store.revoke_key(workspace, key, runtime.clock.now()).await? {
                    bail!("there is no key {key} in this workspace: `tidelog key list` shows its keys");
                }
                output.print(&serde_json::json!({"revoked": key}), |_| format!("revoked {key}"))
            }
        }
    }
}

impl Create {
    async fn run_with(self, store: &Store, runtime: &Runtime) -> anyhow::Result<String> {
        let workspace = match &self.workspace {
            Some(workspace) => workspace::find(store, workspace).await?,
            None => WorkspaceId(Uuid::nil()),
        };
        if self.analyst || self.admin {
            let kind = if self.admin { CredentialKind::AdminToken } else { CredentialKind::AnalystToken };
            let workspace = if self.admin { WorkspaceId(Uuid::nil()) } else { workspace };
            let credential = Credential::new(kind, workspace, runtime.random.uuid(), runtime.random.bytes());
            store.create_token(&credential, runtime.clock.now()).await?;
            return Ok(credential.reveal());
        }
        let new = NewEnrollmentKey {
            role: role_of_catalog(store, self.role.clone().context("pass --role")?).await?,
            scopes: Scopes::parse(&self.scopes).context("--scope")?,
            expires_at: self.expires_in.map(|hours| UnixMs(runtime.clock.now().0 + hours * 3_600_000)),
            registrations_max: self.uses,
            registrations_per_hour: (!self.no_rate_limit).then_some(self.per_hour),
        };
        new_enrollment_key(store, runtime, workspace, &new).await
    }
}

/// The role of a `--role`, which the catalog in force has to have.
pub(crate) async fn role_of_catalog(store: &Store, role: Role) -> anyhow::Result<Role> {
    let in_force =
        store.catalog_in_force().await?.context("no catalog is in force: `tidelog catalog apply FILE` first")?;
    if !in_force.catalog.roles.contains(&role) {
        let known: Vec<_> = in_force.catalog.roles.iter().map(Role::as_str).collect();
        bail!("the catalog has no role {:?}: its roles are {}", role.as_str(), known.join(", "));
    }
    Ok(role)
}

/// Creates and stores an enrollment key. Returns its text, which cannot be recovered later.
pub(crate) async fn new_enrollment_key(
    store: &Store,
    runtime: &Runtime,
    workspace: WorkspaceId,
    new: &NewEnrollmentKey,
) -> anyhow::Result<String> {
    let (id, secret) = (runtime.random.uuid(), runtime.random.bytes());
    let credential = Credential::new(CredentialKind::EnrollmentKey, workspace, id, secret);
    store.create_enrollment_key(&credential, new, runtime.clock.now()).await?;
    Ok(credential.reveal())
}

/// The hours of a time such as 12h or 30d.
fn hours(text: &str) -> Result<i64, &'static str> {
    let hours = match text.strip_suffix('d') {
        Some(days) => days.parse::<u16>().ok().map(|days| i64::from(days) * 24),
        None => text.strip_suffix('h').and_then(|hours| hours.parse::<u16>().ok()).map(i64::from),
    };
    hours.ok_or("has to be hours or days, such as 12h or 30d")
}
