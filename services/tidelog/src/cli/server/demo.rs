//! `tidelog serve --demo`: a workspace, and three lines that work when pasted.

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

const WORKSPACE: &str = "demo";
/// A key of a later start is good for a day: each start makes another.
const KEY_MS: i64 = 24 * 3_600_000;

/// Makes the demo workspace on the first start, a key on later ones; what to print.
pub(crate) async fn prepare(server: &Server, address: SocketAddr) -> anyhow::Result<String> {
    let store = server.store();
    let in_force = store.catalog_in_force().await?.context("no catalog is in force")?;
    let runtime = Runtime::default();
    let existing = store.workspaces().await?.into_iter().find(|row| row.name == WORKSPACE);
    let mut text = String::new();
    let key = match existing {
        Some(row) => {
            let (role, key) = day_key(store, &runtime, &in_force, row.workspace).await?;
            writeln!(text, "workspace demo {} is here already; another key, good for a day:", row.workspace)?;
            writeln!(text, "  {role}  {key}")?;
            key
        }
        None => {
            let created = create_workspace(store, &runtime, &in_force.catalog, WORKSPACE).await?;
            writeln!(text, "workspace demo {}; its enrollment keys, shown this once:", created.workspace)?;
            for (role, key) in &created.keys {
                writeln!(text, "  {role}  {key}")?;
            }
            let first = in_force.catalog.roles.first().and_then(|role| created.keys.get(role));
            first.cloned().context("the catalog has no role")?
        }
    };
    text.push_str(&lines(address, &key, &in_force));
    Ok(text)
}

async fn day_key(
    store: &Store,
    runtime: &Runtime,
    in_force: &StoredCatalog,
    workspace: WorkspaceId,
) -> anyhow::Result<(Role, String)> {
    let role = in_force.catalog.roles.first().cloned().context("the catalog has no role")?;
    let new = NewEnrollmentKey {
        role: role.clone(),
        scopes: Scopes::All,
        expires_at: Some(UnixMs(runtime.clock.now().0 + KEY_MS)),
        registrations_max: None,
        registrations_per_hour: None,
    };
    Ok((role, new_enrollment_key(store, runtime, workspace, &new).await?))
}

/// Register, push, pull.
fn lines(address: SocketAddr, key: &str, in_force: &StoredCatalog) -> String {
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
