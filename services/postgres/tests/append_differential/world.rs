//! The workspaces, devices and catalogs of the test, and random groups of batches for them.

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::group::{Batch, Group, Op};

/// Workspaces that exist. The next number is that of an unknown workspace.
const WORKSPACES: u128 = 4;
/// Devices of each workspace. The next number is that of an unknown device; number 0 is the system device.
const DEVICES: u128 = 6;

/// What the test knows of the databases without asking them.
#[derive(Debug)]
pub(crate) struct World {
    version: i64,
    now_ms: i64,
}

impl Default for World {
    fn default() -> Self {
        Self { version: 1, now_ms: 1_700_000_000_000 }
    }
}

/// How much is wrong with the batches of a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// Each batch is what its device has to push next.
    Calm,
    /// Anything may be wrong with some of the batches.
    Wild,
}

fn workspace(number: u128) -> Uuid {
    Uuid::from_u128(number << 64)
}

fn device(workspace: u128, number: u128) -> Uuid {
    if number == 0 { Uuid::nil() } else { Uuid::from_u128((workspace << 64) + number) }
}

/// The statements that make the workspaces, the devices and the first catalog.
pub(crate) fn setup() -> String {
    let mut sql = catalog(1);
    for number in 1..=WORKSPACES {
        let workspace_id = workspace(number);
        sql += &format!("INSERT INTO tidelog.heads (workspace) VALUES ('{workspace_id}');");
        for device_id in (1..=DEVICES).map(|device_number| device(number, device_number)) {
            sql += &format!(
                "INSERT INTO tidelog.devices (workspace, device, registered_at_ms, name, role, scopes, token_sha256)
                VALUES ('{workspace_id}', '{device_id}', 0, 'd', 'member', '{{}}', '');"
            );
        }
    }
    sql
}

fn catalog(version: i64) -> String {
    format!("INSERT INTO tidelog.catalogs VALUES ({version}, 0, {version} * 1000003, '', '\\x81');")
}

impl World {
    /// A statement that changes what the next groups meet: a new catalog, a device that is revoked or no longer is, the
    /// `_catalog` event that a log lacks.
    pub(crate) fn change(&mut self, random: &mut StdRng) -> String {
        let number = random.random_range(1..=WORKSPACES);
        let (workspace_id, device_id) = (workspace(number), device(number, random.random_range(1..=DEVICES)));
        let of_device = format!("WHERE workspace = '{workspace_id}' AND device = '{device_id}'");
        match random.random_range(0..4) {
            0 => {
                self.version += 1;
                catalog(self.version)
            }
            1 => format!("UPDATE tidelog.devices SET revoked_at_ms = 1 {of_device}"),
            2 => format!("UPDATE tidelog.devices SET revoked_at_ms = NULL WHERE workspace = '{workspace_id}'"),
            _ => format!("SELECT tidelog.append_catalog({}, '{workspace_id}')", self.now_ms),
        }
    }

    /// The next group for the logs as `database` has them.
    pub(crate) async fn group(&mut self, random: &mut StdRng, database: &Client) -> Group {
        let mood = if random.random_bool(0.4) { Mood::Calm } else { Mood::Wild };
        // The clock of a server may step back.
        self.now_ms += random.random_range(-50..100);
        let stale = if mood == Mood::Wild && random.random_ratio(1, 12) { random.random_range(-1..=1) } else { 0 };
        let mut group = Group::new(self.now_ms, self.version + stale);
        let unknown = u128::from(mood == Mood::Wild && random.random_ratio(1, 10));
        let mut workspaces: Vec<u128> = (1..=WORKSPACES + unknown).collect();
        workspaces.shuffle(random);
        workspaces.truncate(random.random_range(1..=3));
        workspaces.sort_unstable();
        for number in workspaces {
            let mut devices: Vec<u128> = match (mood, number > WORKSPACES) {
                (Mood::Calm, _) => (1..=DEVICES).collect(),
                (Mood::Wild, true) => (1..=2).collect(),
                (Mood::Wild, false) => (0..=DEVICES + 1).collect(),
            };
            devices.shuffle(random);
            devices.truncate(random.random_range(1..=5));
            for device_number in devices {
                group.push(batch(random, database, mood, workspace(number), device(number, device_number)).await);
            }
        }
        group
    }
}

async fn batch(random: &mut StdRng, database: &Client, mood: Mood, workspace: Uuid, device: Uuid) -> Batch {
    let sql = "SELECT coalesce(max(seq) FILTER (WHERE device = $2), 0), coalesce(max(position), 0)
        FROM tidelog.log WHERE workspace = $1";
    let row = database.query_one(sql, &[&workspace, &device]).await.unwrap();
    let (last_seq, head): (i64, i64) = (row.get(0), row.get(1));
    let count = random.random_range(1..=4);
    let odd = mood == Mood::Wild && random.random_ratio(1, 2);
    let (first_seq, count) = match random.random_range(0..if odd { 6 } else { 1 }) {
        0 => (last_seq + 1, count),
        1 => (last_seq + 1, 0),
        2 => (last_seq + random.random_range(2..4), count),
        // Ops that are stored already, and perhaps new ones after them.
        _ => (random.random_range((last_seq - 5).max(1)..=last_seq + 1), count),
    };
    let cursor = cursor(random, database, odd, workspace, head).await;
    let base_max = if odd && random.random_ratio(1, 8) { head + 3 } else { head };
    let differs = odd && random.random_ratio(1, 6);
    let ops = (first_seq..first_seq + count).map(|seq| op(random, base_max, seq, differs)).collect();
    Batch { workspace, device, first_seq, cursor, ops }
}

/// A cursor that the log knows, or one that it does not, or none.
async fn cursor(random: &mut StdRng, database: &Client, odd: bool, workspace: Uuid, head: i64) -> Option<(i64, i64)> {
    match random.random_range(0..if odd { 8 } else { 5 }) {
        0..=1 => None,
        2 => Some((0, random.random())),
        5 => Some((head + 1 + random.random_range(0..3), 5)),
        6 if head > 0 => Some((random.random_range(1..=head), 5)),
        _ if head == 0 => None,
        _ => {
            let position = random.random_range(1..=head);
            let sql = "SELECT digest # received_at_ms FROM tidelog.log WHERE workspace = $1 AND position = $2";
            let row = database.query_one(sql, &[&workspace, &position]).await.unwrap();
            Some((position, row.get(0)))
        }
    }
}

/// An op whose digest follows from its seq, so that it can be repeated; or one that differs from it.
fn op(random: &mut StdRng, base_max: i64, seq: i64, differs: bool) -> Op {
    let mut fields = vec![0; random.random_range(0..300)];
    random.fill_bytes(&mut fields);
    Op {
        base: if random.random_bool(0.5) { base_max } else { random.random_range(0..=base_max) },
        at_ms: random.random_bool(0.5).then(|| random.random_range(1_600_000_000_000..1_800_000_000_000)),
        digest: seq.wrapping_mul(0x5851_f42d_4c95_7f2d) + i64::from(differs),
        kind: random.random_range(1..=3),
        rejected: ["", "", "", "field_type"].choose(random).unwrap(),
        fields,
    }
}
