//! `tidelog replay`

mod past;
mod write;

use anyhow::bail;
use clap::{Args, ValueEnum};
use tidelog_core::ids::{Position, TableName};
use tidelog_core::time::UnixMs;
use tidelog_core::wire::RecordView;

use self::past::{Past, Until};
use crate::cli::accounts::workspace;
use crate::cli::connect::with_store;
use crate::cli::global::Global;
use crate::cli::output::Output;

#[derive(Args)]
pub(crate) struct Replay {
    /// The workspace, by id or name
    #[arg(long)]
    workspace: String,
    /// Up to this position of the log, or this time of the server (RFC 3339); everything without
    #[arg(long, value_name = "POSITION|TIME", value_parser = until)]
    as_of: Option<Until>,
    /// Only this table
    #[arg(long, value_parser = |text: &str| TableName::parse(text))]
    table: Option<TableName>,
    /// How to print the records: table unless given, ndjson with --json
    #[arg(long)]
    format: Option<Format>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// A table for people, for each table
    Table,
    /// A record a line, as in the protocol
    Ndjson,
    /// A record a line below the names of all fields; only text stands in quotation marks
    Csv,
}

impl Replay {
    pub(crate) async fn run(self, global: &Global, output: &Output) -> anyhow::Result<()> {
        let format = self.format.unwrap_or(if global.json { Format::Ndjson } else { Format::Table });
        let past = with_store(global, async |store| {
            let workspace = workspace::find(store, &self.workspace).await?;
            let until = self.as_of.unwrap_or(Until::Head);
            Past::fold(store, workspace, until, self.table.as_ref(), &global.resolvers).await
        });
        let past = past.await?;
        let records: Vec<RecordView> = past.records().collect();
        output.write(|out| match format {
            Format::Table => write::tables(out, past.position, &records),
            Format::Ndjson => write::ndjson(out, &records),
            Format::Csv => write::csv(out, &records),
        })
    }
}

fn until(text: &str) -> anyhow::Result<Until> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Until::Position(Position(text.parse()?)));
    }
    match UnixMs::parse(text) {
        Some(time) => Ok(Until::Time(time)),
        None => bail!("neither a position nor a time like 2026-11-20T08:00:00Z"),
    }
}
