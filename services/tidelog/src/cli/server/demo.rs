//! `tidelog serve --demo`: creates a workspace, and prints three commands that work when pasted.

use std::fmt::Write;
use std::net::SocketAddr;

use anyhow::Context;
use tidelog_core::catalog::Table;
use tidelog_core::ids::{Role, Scopes, WorkspaceId};
use tidelog_core::time::UnixMs;
use tidelog_gateway::{Runtime, create_workspace};
use tidelog_postgres::{NewEnrollmentKey, Store, StoredCatalog};

use crate::Server;
use crate::cli::accounts::key::new_enrollment_key;

const WORKSPACE_NAME: &str = "demo";
/// Lifetime of a key that a later start creates. Short, since each start creates another.
const KEY_LIFETIME_MS: i64 = 24 * 3_600_000;

/// Creates the demo workspace on the first start, and another key on later ones. Returns the text to print.
pub(crate) async fn prepare(server: &Server, address: SocketAddr) -> anyhow::Result<String> {
    let store = server.store();
    let in_force =
        store.catalog_in_force().await?.context("no catalog is in force: run `tidelog catalog apply FILE`")?;
    let runtime = Runtime::default();
    let existing = store.workspaces().await?.into_iter().find(|row| row.name == WORKSPACE_NAME);
    let mut text = String::new();
    let key = match existing {
        Some(row) => {
            let (role, key) = new_key(store, &runtime, &in_force, row.workspace).await?;
            writeln!(text, "workspace demo {} exists already; here is another key, valid for a day:", row.workspace)?;
            writeln!(text, "  {role}  {key}")?;
            key
        }
        None => {
            let created = create_workspace(store, &runtime, &in_force.catalog, WORKSPACE_NAME).await?;
            writeln!(
                text,
                "created workspace demo {}; its enrollment keys, which are not shown again:",
                created.workspace
            )?;
            for (role, key) in &created.keys {
                writeln!(text, "  {role}  {key}")?;
            }
            let first = in_force.catalog.roles.first().and_then(|role| created.keys.get(role));
            first.cloned().context("the catalog has no role")?
        }
    };
    text.push_str(&commands(address, &key, &in_force));
    Ok(text)
}

/// Creates an enrollment key for the first role of the catalog.
async fn new_key(
    store: &Store,
    runtime: &Runtime,
    in_force: &StoredCatalog,
    workspace: WorkspaceId,
) -> anyhow::Result<(Role, String)> {
    let role = in_force.catalog.roles.first().cloned().context("the catalog has no role")?;
    let new = NewEnrollmentKey {
        role: role.clone(),
        scopes: Scopes::All,
        expires_at: Some(UnixMs(runtime.clock.now().0 + KEY_LIFETIME_MS)),
        registrations_max: None,
        registrations_per_hour: None,
    };
    Ok((role, new_enrollment_key(store, runtime, workspace, &new).await?))
}

/// Shell commands that register a device, push an op and pull.
fn commands(address: SocketAddr, key: &str, in_force: &StoredCatalog) -> String {
    let role = in_force.catalog.roles.first();
    let may_write = |table: &Table| role.is_some_and(|role| table.write.contains(role));
    let writable: Vec<_> = in_force.catalog.tables.iter().filter(|(_, table)| may_write(table)).collect();
    let names: Vec<_> = writable.iter().map(|(name, _)| name.as_str()).collect();
    let table = names.iter().find(|name| **name == "notes").or(names.first()).unwrap_or(&"notes");
    let api = format!("http://{address}/api/v1");
    let json = "-H 'Content-Type: application/json'";
    format!(
        r#"
try it:
TOKEN=$(curl -s {api}/devices -H 'Authorization: Bearer {key}' {json} -d '{{"name":"my phone"}}' | sed 's/.*"token":"\([^"]*\)".*/\1/')
curl -s {api}/sync/push -H "Authorization: Bearer $TOKEN" {json} -d '{{"ops":[{{"seq":1,"table":"{table}","record":"first","kind":"put","fields":{{}}}}]}}'
curl -s {api}/sync/pull -H "Authorization: Bearer $TOKEN"
"#
    )
}
