//! The one module that prints: results to stdout, complaints and progress to stderr.

use std::fmt::Display;
use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressStyle};

/// Width of the names in front of results.
const NAME_WIDTH: usize = 22;
/// Width of right-aligned results.
const RESULT_WIDTH: usize = 12;
/// Bytes of an example.
const EXCERPT_BYTES_MAX: usize = 40;

/// Prints a line.
pub(crate) fn line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Prints a result under its name, aligned with the others; `note` may be empty.
pub(crate) fn result(name: &str, result: impl Display, note: &str) -> io::Result<()> {
    let text = format!("  {name:<NAME_WIDTH$}{:>RESULT_WIDTH$}  {note}", result.to_string());
    line(text.trim_end())
}

/// Tells why the workload could not be run to its end.
pub(crate) fn complain(error: &anyhow::Error) {
    // Nobody is left to be told that stderr is closed.
    let _ = writeln!(io::stderr().lock(), "error: {error:#}");
}

/// Tells how far it is.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A bar for so many steps; not drawn where stderr is no terminal.
pub(crate) fn progress(what: &'static str, steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:12} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
    let bar = ProgressBar::new(steps).with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Bytes as text on one line, whatever is in them.
pub(crate) fn printable(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

/// The beginning of bytes as text on one line, for an example among others.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let head = printable(&bytes[..bytes.len().min(EXCERPT_BYTES_MAX)]);
    if bytes.len() > EXCERPT_BYTES_MAX { format!("{head}... ({} bytes)", bytes.len()) } else { head }
}
