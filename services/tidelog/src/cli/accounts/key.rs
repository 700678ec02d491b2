//! `tidelog key`

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
    /// Make an enrollment key, or an analyst or admin token; it is shown this once
    Create(Create),
    /// List the enrollment keys and analyst tokens of a workspace: what they grant, never what they are
    List {
        /// The workspace, by id or name
        #[arg(long)]
        workspace: String,
    },
    /// Revoke one; the devices that a key registered stay
    Revoke {
        /// The workspace, by id or name
        #[arg(long)]
        workspace: String,
        /// Its id, as `key list` shows it
        key: Uuid,
    },
}

#[derive(Args)]
pub(crate) struct Create {
    /// The workspace, by id or name
    #[arg(long, required_unless_present = "admin")]
    workspace: Option<String>,
    /// The role of the devices it registers
    #[arg(long, required_unless_present_any = ["analyst", "admin"], conflicts_with_all = ["analyst", "admin"])]
    role: Option<String>,
    /// A scope of the devices it registers, beside the empty one; may be repeated; '*' is every scope
    #[arg(long = "scope", value_name = "SCOPE", conflicts_with_all = ["analyst", "admin"])]
    scopes: Vec<String>,
    /// How many devices it registers at all
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..), conflicts_with_all = ["analyst", "admin"])]
    uses: Option<i32>,
    /// How many devices it registers in an hour
    #[arg(long, default_value_t = REGISTRATIONS_PER_HOUR_DEFAULT, value_parser = clap::value_parser!(i32).range(1..))]
    per_hour: i32,
    /// Register any number of devices in an hour
    #[arg(long, conflicts_with = "per_hour")]
    no_rate_limit: bool,
    /// How long it is good for, like 12h or 30d
    #[arg(long, value_name = "TIME", conflicts_with_all = ["analyst", "admin"])]
    expires_in: Option<String>,
    /// An analyst token instead: reads the workspace, writes nothing
    #[arg(long, conflicts_with = "admin")]
    analyst: bool,
    /// An admin token instead: for the admin listener
    #[arg(long)]
    admin: bool,
}

#[derive(Serialize)]
struct Listed {
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
    let rows = store.keys(workspace::find(store, workspace).await?).await?.into_iter().map(|row| Listed {
        key: row.key,
        kind: row.kind,
        role: row.role,
        scopes: row.scopes,
        registrations: row.registrations,
        created_at: row.created_at,
        expires_at: row.expires_at,
        revoked: row.revoked,
    });
    output.answer(&serde_json::json!({"keys": rows.collect::<Vec<_>>()}), |answer| {
        let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let keys = answer["keys"].as_array().into_iter().flatten();
        let cells = keys.map(|key| {
            ["key", "kind", "role", "scopes", "registrations", "expires_at", "revoked"].map(|name| text(&key[name]))
        });
        table(&["KEY", "KIND", "ROLE", "SCOPES", "DEVICES", "EXPIRES", "REVOKED"], cells)
    })
}

#[derive(Serialize)]
struct Created {
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
                let created = Created { key: create.run_with(store, &runtime).await? };
                output.answer(&created, |created| created.key.clone())
            }
            Self::List { workspace } => list(store, &workspace, output).await,
            Self::Revoke { workspace, key } => {
                let workspace = workspace::find(store, &workspace).await?;
                if !store.revoke_key(workspace, key, runtime.clock.now()).await? {
                    bail!("there is no key {key} in this workspace: `tidelog key list` shows them");
                }
                output.answer(&serde_json::json!({"revoked": key}), |_| format!("revoked {key}"))
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
            role: self.role(store).await?,
            scopes: Scopes::parse(&self.scopes).context("--scope")?,
            expires_at: self.expires_in.as_deref().map(|text| expires_at(text, runtime.clock.now())).transpose()?,
            registrations_max: self.uses,
            registrations_per_hour: (!self.no_rate_limit).then_some(self.per_hour),
        };
        new_enrollment_key(store, runtime, workspace, &new).await
    }

    async fn role(&self, store: &Store) -> anyhow::Result<Role> {
        let role = Role::parse(self.role.clone().unwrap_or_default()).context("--role")?;
        let in_force =
            store.catalog_in_force().await?.context("no catalog is in force: `tidelog catalog apply FILE` first")?;
        if !in_force.catalog.roles.contains(&role) {
            let known: Vec<_> = in_force.catalog.roles.iter().map(Role::as_str).collect();
            bail!("the catalog has no role {:?}: it has {}", role.as_str(), known.join(", "));
        }
        Ok(role)
    }
}

/// Makes and stores an enrollment key; its text, which nobody can show again.
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

fn expires_at(text: &str, now: UnixMs) -> anyhow::Result<UnixMs> {
    let hours = match text.strip_suffix('d') {
        Some(days) => days.parse::<u16>().ok().map(|days| i64::from(days) * 24),
        None => text.strip_suffix('h').and_then(|hours| hours.parse::<u16>().ok()).map(i64::from),
    };
    let hours =
        hours.with_context(|| format!("--expires-in {text:?} is no time: use hours or days, like 12h or 30d"))?;
    Ok(UnixMs(now.0 + hours * 3_600_000))
}
