//! The one module that prints: results to stdout, errors and progress to stderr.

use std::fmt::Display;
use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressStyle};

/// Width of the names in front of results.
const NAME_WIDTH_CHARS: usize = 22;
/// Width of the right-aligned results.
const RESULT_WIDTH_CHARS: usize = 12;
/// Limit of the bytes that an excerpt shows.
const EXCERPT_BYTES_MAX: usize = 40;

/// Prints a line to stdout.
pub(crate) fn line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Prints a result after its name, aligned with the other results, and a note, which may be empty.
pub(crate) fn result(name: &str, result: impl Display, note: &str) -> io::Result<()> {
    let text = format!("  {name:<NAME_WIDTH_CHARS$}{:>RESULT_WIDTH_CHARS$}  {note}", result.to_string());
    line(text.trim_end())
}

/// Prints the error that ended the workload.
pub(crate) fn print_error(error: &anyhow::Error) {
    // If stderr is closed, there is nowhere to report that.
    let _ = writeln!(io::stderr().lock(), "error: {error:#}");
}

/// Prints a line about the progress of the workload to stderr.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A progress bar of `steps` steps. It is drawn only if stderr is a terminal.
pub(crate) fn progress_bar(name: &'static str, steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:12} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
    let bar = ProgressBar::new(steps).with_message(name);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Bytes as text on one line, with everything but printable ASCII escaped.
pub(crate) fn printable(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

/// The first bytes as text on one line, with the total length if there are more.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let head = printable(&bytes[..bytes.len().min(EXCERPT_BYTES_MAX)]);
    if bytes.len() > EXCERPT_BYTES_MAX { format!("{head}... ({} bytes)", bytes.len()) } else { head }
}
