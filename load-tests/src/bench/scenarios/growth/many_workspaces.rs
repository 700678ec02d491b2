//! A database of many workspaces, filled fast: the server fills one workspace, and its rows are copied in SQL to others,
//! whatever columns they have.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::bench::environment::Environment;
use crate::bench::environment::cluster::Database;
use crate::bench::environment::devices::Device;
use crate::bench::generator::push::{self, PushSettings, PushingDevice};
use crate::bench::report::number;
use crate::output;

/// Devices of a workspace.
pub(super) const DEVICES_EACH: usize = 10;
/// Events of a device.
pub(super) const EVENTS_EACH: u64 = 100;
/// Workspaces to which one statement copies.
const STATEMENT_WORKSPACES: usize = 50;
/// Connections that copy at the same time.
const CONNECTIONS: usize = 2;
/// The same in every run, so that all runs have the same workspaces.
const SEED: u64 = 10_000_000;
/// The tables with a workspace column, and their other columns. Neither views nor partitions are among them.
const TABLES: &str =
    "SELECT c.table_name::text, string_agg(quote_ident(c.column_name), ', ' ORDER BY c.ordinal_position)
    FROM information_schema.columns c
    WHERE c.table_schema = 'tidelog' AND c.column_name <> 'workspace' AND EXISTS (
        SELECT FROM information_schema.columns w
        WHERE w.table_schema = 'tidelog' AND w.table_name = c.table_name AND w.column_name = 'workspace')
        AND EXISTS (
            SELECT FROM pg_class t WHERE t.relnamespace = 'tidelog'::regnamespace AND t.relname = c.table_name
                AND t.relkind IN ('r', 'p') AND NOT t.relispartition)
    GROUP BY c.table_name";
/// The beginning of a device's token. The rest is, in base64url, the id of the workspace, that of the device, and a secret.
const TOKEN_PREFIX: &str = "tld_";
const ID_BYTES: usize = 16;

/// A database of many workspaces with the same events.
pub(super) struct ManyWorkspaces {
    /// The database.
    pub(super) database: Database,
    /// The ids of the workspaces, in random order.
    pub(super) workspaces: Vec<Uuid>,
    /// The devices of one workspace. Those of the others have the same ids and secrets.
    devices: Vec<Device>,
}

impl ManyWorkspaces {
    /// Creates a database with one workspace, which the others are copied from.
    pub(super) async fn seed(environment: &Environment) -> Result<Self> {
        let server = environment.serve(environment.database().await?, "gateway").await?;
        let devices = environment.devices.first(DEVICES_EACH, true).to_vec();
        let settings = PushSettings::msgpack(server.address, EVENTS_EACH)?;
        push::batches(push::connect(&settings, &devices, 0).await?, 1).await?;
        server.process.stop()?;
        let workspace = devices.first().context("the workspace has no devices")?.workspace;
        Ok(Self { database: server.database, workspaces: vec![workspace], devices })
    }

    /// Creates a copy of the seed's database with this many workspaces. Their events are stored in the order in which they
    /// would be if the workspaces had taken turns, one push each.
    pub(super) async fn copy_of(environment: &Environment, seed: &Self, workspaces: usize) -> Result<Self> {
        let database = environment.postgres.create(Some(&seed.database)).await?;
        let client = database.connect().await?;
        let first = seed.workspaces[0];
        let mut random = StdRng::seed_from_u64(SEED);
        let others: Vec<Uuid> = (1..workspaces).map(|_| Uuid::from_u128(random.random())).collect();
        let (mut log_columns, mut other_tables) = (String::new(), Vec::new());
        for row in client.query(TABLES, &[]).await? {
            let (table, columns): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            if table == "log" { log_columns = columns } else { other_tables.push((table, columns)) }
        }
        for (table, columns) in other_tables {
            let sql = format!(
                "INSERT INTO tidelog.{table} (workspace, {columns}) SELECT w, {columns} FROM tidelog.{table}, unnest($2::uuid[]) w \
                 WHERE workspace = $1"
            );
            client.execute(&sql, &[&first, &others]).await.with_context(|| format!("copying {table}"))?;
        }
        let sql = format!(
            "INSERT INTO tidelog.log (workspace, {log_columns}) SELECT w, {log_columns} FROM unnest($2::uuid[]) w, tidelog.log \
             WHERE workspace = $1 AND position > $3 AND position <= $4 ORDER BY w, position"
        );
        // A push has the `_devices` event of its device before it, and the first one also the `_catalog` event.
        for push in 0..DEVICES_EACH as i64 {
            let each = EVENTS_EACH as i64 + 1;
            let (after, to) = (if push == 0 { 0 } else { push * each + 1 }, (push + 1) * each + 1);
            copy_events(&database, &sql, first, &others, (after, to)).await?;
            environment.postgres.checkpoint().await?;
            output::note(format_args!(
                "filled {to} of {} events in each of {} workspaces",
                DEVICES_EACH as u64 * (EVENTS_EACH + 1) + 1,
                number(workspaces as f64)
            ));
        }
        client.batch_execute("VACUUM (ANALYZE)").await?;
        let expected = (DEVICES_EACH as u64 * (EVENTS_EACH + 1) + 1) * workspaces as u64;
        let stored: i64 = client.query_one("SELECT count(*) FROM tidelog.log", &[]).await?.try_get(0)?;
        ensure!(stored.cast_unsigned() == expected, "{stored} of {expected} events were copied");
        let mut workspaces: Vec<Uuid> = others.into_iter().chain([first]).collect();
        workspaces.shuffle(&mut random);
        Ok(Self { database, workspaces, devices: seed.devices.clone() })
    }

    /// The sizes of the log's table and of its indexes, in bytes.
    pub(super) async fn table_and_index_bytes(&self) -> Result<(f64, f64)> {
        let sql = "SELECT pg_table_size('tidelog.log'), pg_indexes_size('tidelog.log')";
        let row = self.database.connect().await?.query_one(sql, &[]).await?;
        let (table, indexes): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        Ok((table as f64, indexes as f64))
    }

    /// `count` devices, distributed over connections. Each is in another workspace than the one before. `offset` (0 to 1)
    /// says where among all devices they begin.
    pub(super) async fn pushing_devices(
        &self,
        count: usize,
        offset: f64,
        connections: usize,
    ) -> Result<Vec<Vec<PushingDevice>>> {
        let last_seqs = self.last_seqs().await?;
        let total = self.workspaces.len() * self.devices.len();
        let begin = (total as f64 * offset) as usize;
        let mut devices = vec![Vec::new(); connections];
        for index in 0..count.min(total) {
            let number = (begin + index) % total;
            let device = &self.devices[number / self.workspaces.len()];
            let device = in_workspace(device, self.workspaces[number % self.workspaces.len()]);
            let last_seq = last_seqs.get(&(device.workspace, device.device)).context("a device has no events")?;
            devices[index % connections].push(PushingDevice { device, last_seq: *last_seq });
        }
        Ok(devices)
    }

    /// One device of each workspace. `offset` (0 to 1) says with which workspace they begin.
    pub(super) fn readers(&self, offset: f64) -> Vec<Device> {
        let begin = (self.workspaces.len() as f64 * offset) as usize;
        let workspaces = self.workspaces.iter().cycle().skip(begin).take(self.workspaces.len());
        self.devices
            .iter()
            .take(1)
            .flat_map(|device| workspaces.clone().map(|workspace| in_workspace(device, *workspace)))
            .collect()
    }

    async fn last_seqs(&self) -> Result<HashMap<(Uuid, Uuid), u64>> {
        let client: Client = self.database.connect().await?;
        let sql = "SELECT workspace, device, max(seq) FROM tidelog.log GROUP BY workspace, device";
        let rows = client.query(sql, &[]).await?;
        let entry = |row: &tokio_postgres::Row| {
            Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get::<_, i64>(2)?.cast_unsigned()))
        };
        rows.iter().map(entry).collect()
    }
}

async fn copy_events(
    database: &Database,
    sql: &str,
    first: Uuid,
    others: &[Uuid],
    (after, to): (i64, i64),
) -> Result<()> {
    let mut copying = JoinSet::new();
    let groups: Vec<Vec<Uuid>> = others.chunks(STATEMENT_WORKSPACES).map(<[Uuid]>::to_vec).collect();
    for connection in 0..CONNECTIONS {
        let own_groups: Vec<Vec<Uuid>> = groups.iter().skip(connection).step_by(CONNECTIONS).cloned().collect();
        let (client, sql) = (database.connect().await?, sql.to_owned());
        copying.spawn(async move {
            let statement = client.prepare(&sql).await?;
            for group in own_groups {
                client.execute(&statement, &[&first, &group, &after, &to]).await?;
            }
            Ok::<_, tokio_postgres::Error>(())
        });
    }
    while let Some(copied) = copying.join_next().await {
        copied?.context("copying events")?;
    }
    Ok(())
}

/// The copy of a device in another workspace. Its token names that workspace, and has the same secret.
fn in_workspace(device: &Device, workspace: Uuid) -> Device {
    let token = device.token.strip_prefix(TOKEN_PREFIX).and_then(|rest| BASE64URL.decode(rest).ok());
    let token = token.filter(|bytes| bytes.len() > ID_BYTES).map(|mut bytes| {
        bytes[..ID_BYTES].copy_from_slice(workspace.as_bytes());
        format!("{TOKEN_PREFIX}{}", BASE64URL.encode(bytes))
    });
    Device { workspace, device: device.device, token: token.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_device_has_its_workspace_in_its_token() {
        let (here, there, device) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let token = |workspace: Uuid| {
            let bytes = [workspace.as_bytes().as_slice(), device.as_bytes(), &[7; 32]].concat();
            format!("tld_{}", BASE64URL.encode(bytes))
        };
        let copied = in_workspace(&Device { workspace: here, device, token: token(here) }, there);
        assert_eq!((copied.workspace, copied.token), (there, token(there)));
    }
}
