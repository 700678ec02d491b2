//! Many workspaces, made fast: one is filled by the server itself, and its rows are copied under other names, whatever
//! columns they have.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio_postgres::Client;
use uuid::Uuid;

use std::collections::HashMap;

use crate::bench::cluster::Database;
use crate::bench::fleet::Device;
use crate::bench::lab::Lab;
use crate::bench::push::{self, Pushing};
use crate::output;

/// Devices of a workspace.
pub(super) const DEVICES: usize = 10;
/// Ops of each device.
pub(super) const EVENTS_EACH: u64 = 100;
/// Workspaces whose rows one statement writes.
const TOGETHER: usize = 50;
/// Statements at once.
const CONNECTIONS: usize = 2;
/// The same workspaces in every run.
const SEED: u64 = 10_000_000;
/// The tables that belong to workspaces, the log aside, with the columns to copy: neither views nor parts of tables.
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
/// What the prefix of a device's token is followed by: workspace and device, and its secret.
const TOKEN_PREFIX: &str = "tld_";
const ID_BYTES: usize = 16;

/// A database of many workspaces that are all alike.
pub(super) struct Crowd {
    /// The database.
    pub(super) database: Database,
    /// The workspaces, in no order.
    pub(super) workspaces: Vec<Uuid>,
    /// The devices of each.
    devices: Vec<Device>,
}

impl Crowd {
    /// A database with the one workspace that is copied.
    pub(super) async fn seed(lab: &Lab) -> Result<Self> {
        let subject = lab.serve(lab.database().await?, "gateway").await?;
        let devices = lab.fleet.devices(DEVICES, true).to_vec();
        let pushing = Pushing::msgpack(subject.address, EVENTS_EACH)?;
        push::batches(push::connect(&pushing, &devices, 0).await?, 1).await?;
        subject.server.stop()?;
        let workspace = devices.first().context("a workspace without devices")?.workspace;
        Ok(Self { database: subject.database, workspaces: vec![workspace], devices })
    }

    /// A copy of the seed's database with so many workspaces. Their events stand in the log as they would if the
    /// workspaces had taken turns, a push each.
    pub(super) async fn grow(lab: &Lab, seed: &Self, workspaces: usize) -> Result<Self> {
        let database = lab.postgres.create(Some(&seed.database)).await?;
        let client = database.connect().await?;
        let first = seed.workspaces[0];
        let mut random = StdRng::seed_from_u64(SEED);
        let others: Vec<Uuid> = (1..workspaces).map(|_| Uuid::from_u128(random.random())).collect();
        let (mut log, mut small) = (String::new(), Vec::new());
        for row in client.query(TABLES, &[]).await? {
            let (table, columns): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            if table == "log" { log = columns } else { small.push((table, columns)) }
        }
        for (table, columns) in small {
            let sql = format!(
                "INSERT INTO tidelog.{table} (workspace, {columns}) SELECT w, {columns} FROM tidelog.{table}, unnest($2::uuid[]) w \
                 WHERE workspace = $1"
            );
            client.execute(&sql, &[&first, &others]).await.with_context(|| format!("copying {table}"))?;
        }
        let sql = format!(
            "INSERT INTO tidelog.log (workspace, {log}) SELECT w, {log} FROM unnest($2::uuid[]) w, tidelog.log \
             WHERE workspace = $1 AND position > $3 AND position <= $4 ORDER BY w, position"
        );
        // The first event is the catalog's, and goes with the first push.
        for push in 0..DEVICES as i64 {
            let each = EVENTS_EACH as i64;
            let (after, to) = (if push == 0 { 0 } else { push * each + 1 }, (push + 1) * each + 1);
            copy(&database, &sql, first, &others, (after, to)).await?;
            lab.postgres.checkpoint().await?;
            output::note(format_args!(
                "{workspaces} workspaces have {to} of {} events",
                DEVICES as u64 * EVENTS_EACH + 1
            ));
        }
        client.batch_execute("VACUUM (ANALYZE)").await?;
        let expected = (DEVICES as u64 * EVENTS_EACH + 1) * workspaces as u64;
        let stored: i64 = client.query_one("SELECT count(*) FROM tidelog.log", &[]).await?.try_get(0)?;
        ensure!(stored.cast_unsigned() == expected, "{stored} of {expected} events were copied");
        let mut workspaces: Vec<Uuid> = others.into_iter().chain([first]).collect();
        workspaces.shuffle(&mut random);
        Ok(Self { database, workspaces, devices: seed.devices.clone() })
    }

    /// Bytes of the log's table and of its indexes.
    pub(super) async fn sizes(&self) -> Result<(f64, f64)> {
        let sql = "SELECT pg_table_size('tidelog.log'), pg_indexes_size('tidelog.log')";
        let row = self.database.connect().await?.query_one(sql, &[]).await?;
        let (table, indexes): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        Ok((table as f64, indexes as f64))
    }

    /// `count` devices, each in another workspace than the one before, with the seqs they are at, dealt out to so many
    /// connections. `turn` (0 to 1) says where among all devices they begin.
    pub(super) async fn crews(&self, count: usize, turn: f64, connections: usize) -> Result<Vec<Vec<(Device, u64)>>> {
        let last_seqs = self.last_seqs().await?;
        let everyone = self.workspaces.len() * self.devices.len();
        let begin = (everyone as f64 * turn) as usize;
        let mut crews = vec![Vec::new(); connections];
        for index in 0..count.min(everyone) {
            let number = (begin + index) % everyone;
            let device = &self.devices[number / self.workspaces.len()];
            let device = moved(device, self.workspaces[number % self.workspaces.len()]);
            let last_seq = last_seqs.get(&(device.workspace, device.device)).context("a device without events")?;
            crews[index % connections].push((device, *last_seq));
        }
        Ok(crews)
    }

    /// A device of each workspace. `turn` (0 to 1) says with which workspace they begin.
    pub(super) fn readers(&self, turn: f64) -> Vec<Device> {
        let begin = (self.workspaces.len() as f64 * turn) as usize;
        let workspaces = self.workspaces.iter().cycle().skip(begin).take(self.workspaces.len());
        self.devices
            .iter()
            .take(1)
            .flat_map(|device| workspaces.clone().map(|workspace| moved(device, *workspace)))
            .collect()
    }

    async fn last_seqs(&self) -> Result<HashMap<(Uuid, Uuid), u64>> {
        let client: Client = self.database.connect().await?;
        let sql = "SELECT workspace, device, max(seq) FROM tidelog.log GROUP BY workspace, device";
        let rows = client.query(sql, &[]).await?;
        let place = |row: &tokio_postgres::Row| {
            Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get::<_, i64>(2)?.cast_unsigned()))
        };
        rows.iter().map(place).collect()
    }
}

async fn copy(database: &Database, sql: &str, first: Uuid, others: &[Uuid], (after, to): (i64, i64)) -> Result<()> {
    let mut copying = JoinSet::new();
    let groups: Vec<Vec<Uuid>> = others.chunks(TOGETHER).map(<[Uuid]>::to_vec).collect();
    for connection in 0..CONNECTIONS {
        let mine: Vec<Vec<Uuid>> = groups.iter().skip(connection).step_by(CONNECTIONS).cloned().collect();
        let (client, sql) = (database.connect().await?, sql.to_owned());
        copying.spawn(async move {
            let statement = client.prepare(&sql).await?;
            for group in mine {
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

/// The copy of a device in another workspace: its token names that workspace, and has the same secret.
fn moved(device: &Device, workspace: Uuid) -> Device {
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
    fn a_moved_device_has_its_workspace_in_its_token() {
        let (here, there, device) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let token = |workspace: Uuid| {
            let bytes = [workspace.as_bytes().as_slice(), device.as_bytes(), &[7; 32]].concat();
            format!("tld_{}", BASE64URL.encode(bytes))
        };
        let moved = moved(&Device { workspace: here, device, token: token(here) }, there);
        assert_eq!((moved.workspace, moved.token), (there, token(there)));
    }
}
