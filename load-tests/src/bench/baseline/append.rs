//! The server's append function, called in SQL by each client for itself: what a push costs without HTTP and group commit.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio_postgres::types::{Kind, ToSql, Type};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::column_value::ColumnValue;
use crate::bench::environment::cluster::Database;
use crate::bench::environment::devices::Device;
use crate::bench::generator::payloads::{self, TABLE};
use crate::bench::measure::{Clients, LoadControl};

/// The names of the function's parameters, in order. While servers of two versions run side by side it has two forms, and
/// the one with fewer parameters is the newer.
const PARAMETERS: &str = "SELECT unnest(proargnames[1:pronargs]) FROM (SELECT * FROM pg_proc
    WHERE pronamespace = 'tidelog'::regnamespace AND proname = 'append' ORDER BY pronargs LIMIT 1) AS append";

/// The options by which the server's sessions plan the statements of the function. Without them they are planned for tables
/// that are still empty.
const PLANNING: &str = "SET plan_cache_mode = force_generic_plan; SET jit = off; SET enable_seqscan = off;
    SET enable_bitmapscan = off; SET enable_sort = off";

/// A parameter of the function.
struct Parameter {
    /// Its name, or if it takes rows, the names of their columns.
    names: Vec<String>,
    is_array: bool,
    is_row: bool,
}

impl Parameter {
    fn new(name: &str, ty: &Type) -> Self {
        let element = if let Kind::Array(element) = ty.kind() { element } else { ty };
        let (names, is_row) = match element.kind() {
            Kind::Composite(columns) => (columns.iter().map(|column| column.name().to_owned()).collect(), true),
            _ => (vec![name.to_owned()], false),
        };
        Self { names, is_array: element != ty, is_row }
    }
}

/// A client that calls the function on a connection of its own.
struct Caller {
    client: Client,
    statement: Statement,
    parameters: Arc<Vec<Parameter>>,
    fields: Arc<Vec<Vec<u8>>>,
    device: Device,
    seq: i64,
}

/// Starts a client for each device. Each appends its next op as soon as the last one is committed.
pub(crate) async fn start(database: &Database, devices: &[Device], control: &Arc<LoadControl>) -> Result<Clients> {
    let client = database.connect().await?;
    let names = client.query(PARAMETERS, &[]).await.context("the database has no schema tidelog")?;
    let names: Vec<String> = names.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    ensure!(!names.is_empty(), "the database has no function tidelog.append");
    let placeholders: Vec<String> = (1..=names.len()).map(|number| format!("${number}")).collect();
    let sql = format!("SELECT * FROM tidelog.append({})", placeholders.join(", "));
    let types = client.prepare(&sql).await?;
    let parameters = names.iter().zip(types.params()).map(|(name, ty)| Parameter::new(name, ty)).collect();
    let parameters: Arc<Vec<Parameter>> = Arc::new(parameters);
    let fields = Arc::new(payloads::fields()?);
    let mut clients = Clients::new();
    for device in devices {
        let client = database.connect().await?;
        client.batch_execute(PLANNING).await?;
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
        let value = |name: &String| value(name, &self.device, self.seq, record, fields);
        let values: Vec<Vec<ColumnValue<'_>>> =
            self.parameters.iter().map(|parameter| parameter.names.iter().map(value).collect()).collect();
        let elements: Vec<ColumnValue<'_>> = self
            .parameters
            .iter()
            .zip(&values)
            .map(|(parameter, values)| if parameter.is_row { ColumnValue::Row(values) } else { values[0] })
            .collect();
        let arguments: Vec<ColumnValue<'_>> = self
            .parameters
            .iter()
            .zip(&elements)
            .map(|(parameter, element)| if parameter.is_array { ColumnValue::ArrayOfOne(element) } else { *element })
            .collect();
        let arguments: Vec<&(dyn ToSql + Sync)> = arguments.iter().map(|argument| argument as _).collect();
        let row = self.client.query_one(&self.statement, &arguments).await?;
        let status: &str = row.try_get("status")?;
        ensure!(status == "appended", "tidelog.append returned the status {status}");
        Ok(())
    }
}

/// The value of a parameter, of its one element if it is an array, or of a column of its one row.
fn value<'a>(parameter: &str, device: &Device, seq: i64, record: Uuid, fields: &'a [u8]) -> ColumnValue<'a> {
    match parameter {
        "workspace" | "p_workspace" | "p_workspaces" => ColumnValue::Uuid(device.workspace),
        "device" | "p_devices" => ColumnValue::Uuid(device.device),
        "p_now_ms" => ColumnValue::Int(1_795_163_400_000 + seq),
        "at_ms" | "o_ats_ms" => ColumnValue::Int(1_795_163_400_000),
        "p_catalog_version" => ColumnValue::Int(1),
        "op_count" | "first_op" | "batch" | "kind" => ColumnValue::Int(1),
        "p_counts" | "p_first_ops" | "o_batches" | "o_kinds" => ColumnValue::Int(1),
        "role" | "p_roles" => ColumnValue::Text("member"),
        "first_seq" | "seq" | "p_first_seqs" | "o_seqs" => ColumnValue::Int(seq),
        "digest" | "o_digests" => ColumnValue::Int(record.as_u64_pair().0.cast_signed()),
        "table_name" | "o_tables" => ColumnValue::Text(TABLE),
        "record" | "o_records" => ColumnValue::Uuid(record),
        "fields" | "o_fields" => ColumnValue::Bytes(fields),
        "base_max" | "ops_before" | "base" | "p_bases_max" | "p_befores" | "o_bases" => ColumnValue::Int(0),
        "scope" | "actor" | "conflict" | "rejected" => ColumnValue::Text(""),
        "o_scopes" | "o_actors" | "o_conflicts" | "o_rejected" => ColumnValue::Text(""),
        _ => ColumnValue::Null,
    }
}
