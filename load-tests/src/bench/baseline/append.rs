//! The server's append function, called in SQL by each client for itself: what a push costs without HTTP and group commit.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::column_value::ColumnValue;
use crate::bench::environment::cluster::Database;
use crate::bench::environment::devices::Device;
use crate::bench::generator::payloads::{self, TABLE};
use crate::bench::measure::{Clients, LoadControl};

/// The names of the function's parameters, in order.
const PARAMETERS: &str = "SELECT unnest(proargnames[1:pronargs]) FROM pg_proc WHERE oid = 'tidelog.append'::regproc";

/// A client that calls the function on a connection of its own.
struct Caller {
    client: Client,
    statement: Statement,
    parameters: Arc<Vec<String>>,
    fields: Arc<Vec<Vec<u8>>>,
    device: Device,
    seq: i64,
}

/// Starts a client for each device. Each appends its next op as soon as the last one is committed.
pub(crate) async fn start(database: &Database, devices: &[Device], control: &Arc<LoadControl>) -> Result<Clients> {
    let client = database.connect().await?;
    let names = client.query(PARAMETERS, &[]).await.context("the database has no function tidelog.append")?;
    let names: Vec<String> = names.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let parameters = Arc::new(names);
    let placeholders: Vec<String> = (1..=parameters.len()).map(|number| format!("${number}")).collect();
    let sql = format!("SELECT * FROM tidelog.append({})", placeholders.join(", "));
    let fields = Arc::new(payloads::fields()?);
    let mut clients = Clients::new();
    for device in devices {
        let client = database.connect().await?;
        let statement = client.prepare(&sql).await?;
        let (parameters, fields) = (Arc::clone(&parameters), Arc::clone(&fields));
        let mut caller = Caller { client, statement, parameters, fields, device: device.clone(), seq: 0 };
        let control = Arc::clone(control);
        clients.spawn(async move {
            while !control.is_stopped() {
                caller.append().await?;
                control.add(1);
            }
            Ok(())
        });
    }
    Ok(clients)
}

impl Caller {
    async fn append(&mut self) -> Result<()> {
        self.seq += 1;
        let record = payloads::record_of(self.device.device, self.seq.cast_unsigned(), u64::MAX);
        let fields = &self.fields[(record.as_u64_pair().1 % self.fields.len() as u64) as usize];
        let values: Vec<ColumnValue<'_>> =
            self.parameters.iter().map(|name| value(name, &self.device, self.seq, record, fields)).collect();
        let arguments: Vec<ColumnValue<'_>> = self
            .parameters
            .iter()
            .zip(&values)
            .map(|(name, value)| if is_array(name) { ColumnValue::ArrayOfOne(value) } else { *value })
            .collect();
        let arguments: Vec<&(dyn ToSql + Sync)> = arguments.iter().map(|argument| argument as _).collect();
        let row = self.client.query_one(&self.statement, &arguments).await?;
        let status: &str = row.try_get("status")?;
        ensure!(status == "appended", "tidelog.append returned the status {status}");
        Ok(())
    }
}

/// Whether a parameter is an array with an element for each batch or op. The others are one value for a call.
fn is_array(parameter: &str) -> bool {
    !matches!(parameter, "p_workspace" | "p_now_ms" | "p_catalog_version")
}

/// The value of a parameter, or of the one element of it if it is an array.
fn value<'a>(parameter: &str, device: &Device, seq: i64, record: Uuid, fields: &'a [u8]) -> ColumnValue<'a> {
    match parameter {
        "p_workspace" | "p_workspaces" => ColumnValue::Uuid(device.workspace),
        "p_devices" => ColumnValue::Uuid(device.device),
        "p_now_ms" => ColumnValue::Int(1_795_163_400_000 + seq),
        "o_ats_ms" => ColumnValue::Int(1_795_163_400_000),
        "p_catalog_version" | "p_counts" | "p_first_ops" | "o_batches" | "o_kinds" => ColumnValue::Int(1),
        "p_roles" => ColumnValue::Text("member"),
        "p_first_seqs" | "o_seqs" => ColumnValue::Int(seq),
        "o_digests" => ColumnValue::Int(record.as_u64_pair().0.cast_signed()),
        "o_tables" => ColumnValue::Text(TABLE),
        "o_records" => ColumnValue::Uuid(record),
        "o_fields" => ColumnValue::Bytes(fields),
        "p_bases_max" | "p_befores" | "o_bases" => ColumnValue::Int(0),
        "o_scopes" | "o_actors" | "o_conflicts" | "o_rejected" => ColumnValue::Text(""),
        _ => ColumnValue::Null,
    }
}
