//! Prints results to stdout and errors to stderr.

use std::io::{BufWriter, ErrorKind, Write};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

/// The program that reads stdout has ended, so there is nobody to print for.
#[derive(Debug, thiserror::Error)]
#[error("nothing reads the output any more")]
pub(crate) struct ReaderGone;

/// Prints the result of a command, as JSON or for people.
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints text as it is, with or without `--json`.
    pub(crate) fn text(&self, text: &str) -> anyhow::Result<()> {
        self.write(|out| out.write_all(text.as_bytes()))
    }

    /// Prints text that is written piece by piece, with or without `--json`.
    pub(crate) fn write(&self, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> anyhow::Result<()> {
        let mut out = BufWriter::new(std::io::stdout().lock());
        write(&mut out).and_then(|()| out.flush()).map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => ReaderGone.into(),
            _ => error.into(),
        })
    }

    /// Prints a value: as JSON with `--json`, else as the text that `to_text` makes of it.
    pub(crate) fn print<T: Serialize>(&self, value: &T, to_text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        match self.json {
            true => self.text(&format!("{}\n", serde_json::to_string(value)?)),
            false => self.text(&format!("{}\n", to_text(value).trim_end())),
        }
    }

    /// Prints an error and all its causes on one line to stderr.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let line = format!("{error:#}").replace('\n', " ");
        let line = match self.json {
            true => serde_json::json!({ "error": line }).to_string(),
            false => format!("tidelog: {line}"),
        };
        // If stderr is closed, there is nowhere to report that.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// A table without borders, with a header.
pub(crate) fn table<R: IntoIterator<Item = String>>(header: &[&str], rows: impl IntoIterator<Item = R>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.to_vec());
    for row in rows {
        // Names and values come from devices, and must not send escape sequences to the operator's terminal.
        let printable = |cell: String| cell.replace(|c: char| c.is_control(), "\u{fffd}");
        table.add_row(row.into_iter().map(printable).collect::<Vec<_>>());
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
