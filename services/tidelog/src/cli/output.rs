//! What the commands print.

use std::io::{BufWriter, Write};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

/// Where answers go, and in which form.
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Text as it is, whatever the form.
    pub(crate) fn text(&self, text: &str) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Text that is written piece by piece.
    pub(crate) fn write(&self, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> anyhow::Result<()> {
        let mut out = BufWriter::new(std::io::stdout().lock());
        write(&mut out)?;
        Ok(out.flush()?)
    }

    /// A value for programs, or text for people.
    pub(crate) fn answer<T: Serialize>(&self, value: &T, people: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        match self.json {
            true => self.text(&format!("{}\n", serde_json::to_string(value)?)),
            false => self.text(&format!("{}\n", people(value).trim_end())),
        }
    }

    /// One line on stderr, with every cause.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let line = format!("{error:#}").replace('\n', " ");
        let line = match self.json {
            true => serde_json::json!({ "error": line }).to_string(),
            false => format!("tidelog: {line}"),
        };
        // Where stderr is gone there is nobody left to tell.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// A plain table with a head.
pub(crate) fn table<R: IntoIterator<Item = String>>(head: &[&str], rows: impl IntoIterator<Item = R>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(head.to_vec());
    for row in rows {
        // Names come from devices: none of them may steer the operator's terminal.
        let shown = |cell: String| cell.replace(|c: char| c.is_control(), "\u{fffd}");
        table.add_row(row.into_iter().map(shown).collect::<Vec<_>>());
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
