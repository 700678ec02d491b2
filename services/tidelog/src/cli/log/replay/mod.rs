//! `tidelog replay`: folds a log in memory up to a position or time, and prints the records.

mod records_at;
mod write;

use anyhow::bail;
use clap::{Args, ValueEnum};
use tidelog_core::ids::{Position, TableName};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::RecordView;

use crate::cli::accounts::workspace;
use crate::cli::connect::with_store;
use crate::cli::global::Global;
use crate::cli::log::replay::records_at::{AsOf, RecordsAt};
use crate::cli::output::Output;

#[derive(Args)]
pub(crate) struct Replay {
    /// Id or name of the workspace
    #[arg(long)]
    workspace: String,
    /// Records as of a position of the log, or of a time by the server's clock (RFC 3339) [default: now]
    #[arg(long, value_name = "POSITION|TIME", value_parser = parse_as_of)]
    as_of: Option<AsOf>,
    /// Only records of this table
    #[arg(long, value_parser = |text: &str| TableName::parse(text))]
    table: Option<TableName>,
    /// How to print the records [default: table, or ndjson with --json]
    #[arg(long)]
    format: Option<Format>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people: a list for each table
    Table,
    /// One JSON object per line and record, as in the protocol
    Ndjson,
    /// One line per record below the names of all fields; text is in quotation marks, everything else is not
    Csv,
}

impl Replay {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        let format = self.format.unwrap_or(if global.json { Format::Ndjson } else { Format::Table });
        let records_at = with_store(global, async |store| {
            let workspace = workspace::find(store, &self.workspace).await?;
            let as_of = self.as_of.unwrap_or(AsOf::Head);
            RecordsAt::fold(store, workspace, as_of, self.table.as_ref(), &global.resolvers).await
        });
        let records_at = records_at.await?;
        let records: Vec<RecordView> = records_at.records().collect();
        output.write(|out| match format {
            Format::Table => write::tables(out, records_at.position, &records),
            Format::Ndjson => write::ndjson(out, &records),
            Format::Csv => write::csv(out, &records),
        })
    }
}

fn parse_as_of(text: &str) -> anyhow::Result<AsOf> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(AsOf::Position(Position(text.parse()?)));
    }
    match UnixMs::parse(text) {
        Some(time) => Ok(AsOf::Time(time)),
        None => bail!("neither a position, such as 41, nor a time, such as 2026-11-20T08:00:00Z"),
    }
}
