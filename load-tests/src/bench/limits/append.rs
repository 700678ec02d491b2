//! The server's own append, called as SQL by each client for itself: what a push costs without HTTP and grouping.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::cell::Cell;
use crate::bench::bodies::{self, TABLE};
use crate::bench::cluster::Database;
use crate::bench::fleet::Device;
use crate::bench::measure::{Clients, Pace};

/// The function's parameters in their order.
const PARAMETERS: &str = "SELECT unnest(proargnames[1:pronargs]) FROM pg_proc WHERE oid = 'tidelog.append'::regproc";

/// A client with its connection.
struct Caller {
    client: Client,
    statement: Statement,
    parameters: Arc<Vec<String>>,
    fields: Arc<Vec<Vec<u8>>>,
    device: Device,
    seq: i64,
}

/// Starts a client for each device, each of which appends as soon as its last op is committed.
pub(crate) async fn start(database: &Database, devices: &[Device], pace: &Arc<Pace>) -> Result<Clients> {
    let client = database.connect().await?;
    let names = client.query(PARAMETERS, &[]).await.context("the append function is not there")?;
    let names: Vec<String> = names.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let parameters = Arc::new(names);
    let places: Vec<String> = (1..=parameters.len()).map(|number| format!("${number}")).collect();
    let sql = format!("SELECT * FROM tidelog.append({})", places.join(", "));
    let fields = Arc::new(bodies::fields()?);
    let mut clients = Clients::new();
    for device in devices {
        let client = database.connect().await?;
        let statement = client.prepare(&sql).await?;
        let (parameters, fields) = (Arc::clone(&parameters), Arc::clone(&fields));
        let mut caller = Caller { client, statement, parameters, fields, device: device.clone(), seq: 0 };
        let pace = Arc::clone(pace);
        clients.spawn(async move {
            while !pace.is_over() {
                caller.append().await?;
                pace.add(1);
            }
            Ok(())
        });
    }
    Ok(clients)
}

impl Caller {
    async fn append(&mut self) -> Result<()> {
        self.seq += 1;
        let record = bodies::record_of(self.device.device, self.seq.cast_unsigned(), u64::MAX);
        let fields = &self.fields[(record.as_u64_pair().1 % self.fields.len() as u64) as usize];
        let values: Vec<Cell<'_>> =
            self.parameters.iter().map(|name| value(name, &self.device, self.seq, record, fields)).collect();
        let cells: Vec<Cell<'_>> = self
            .parameters
            .iter()
            .zip(&values)
            .map(|(name, value)| if is_array(name) { Cell::One(value) } else { *value })
            .collect();
        let cells: Vec<&(dyn ToSql + Sync)> = cells.iter().map(|cell| cell as _).collect();
        let row = self.client.query_one(&self.statement, &cells).await?;
        let status: &str = row.try_get("status")?;
        ensure!(status == "appended", "the append answered {status}");
        Ok(())
    }
}

/// The workspace, the time and the catalog's version are one for a call; the rest is one for each batch or op.
fn is_array(parameter: &str) -> bool {
    !matches!(parameter, "p_workspace" | "p_now_ms" | "p_catalog_version")
}

fn value<'a>(parameter: &str, device: &Device, seq: i64, record: Uuid, fields: &'a [u8]) -> Cell<'a> {
    match parameter {
        "p_workspace" | "p_workspaces" => Cell::Uuid(device.workspace),
        "p_devices" => Cell::Uuid(device.device),
        "p_now_ms" => Cell::Int(1_795_163_400_000 + seq),
        "o_ats_ms" => Cell::Int(1_795_163_400_000),
        "p_catalog_version" | "p_counts" | "p_first_ops" | "o_batches" | "o_kinds" => Cell::Int(1),
        "p_roles" => Cell::Text("member"),
        "p_first_seqs" | "o_seqs" => Cell::Int(seq),
        "o_digests" => Cell::Int(record.as_u64_pair().0.cast_signed()),
        "o_tables" => Cell::Text(TABLE),
        "o_records" => Cell::Uuid(record),
        "o_fields" => Cell::Bytes(fields),
        "p_bases_max" | "p_befores" | "o_bases" => Cell::Int(0),
        "o_scopes" | "o_actors" | "o_conflicts" | "o_rejected" => Cell::Text(""),
        _ => Cell::Null,
    }
}
