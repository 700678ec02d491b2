//! Shows on stderr how far a rebuild is: a bar that redraws itself on a terminal, elsewhere a line now and then.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tidelog_projector::RebuildProgress;
use tokio::time::sleep;

/// How often the bar on a terminal is redrawn.
const REDRAW_INTERVAL: Duration = Duration::from_millis(250);
/// How often a line is written where stderr is not a terminal, such as a log file.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// The bar on a terminal.
const BAR_TEMPLATE: &str = "{percent} %, {pos} of {len} events, {speed} [{wide_bar}]";

/// Awaits a rebuild, and shows meanwhile how far it is.
pub(crate) async fn with_progress<T>(progress: &RebuildProgress, rebuild: impl Future<Output = T>) -> T {
    let is_terminal = std::io::stderr().is_terminal();
    // A hidden bar draws nothing, but still estimates the rate and the time left.
    let bar = if is_terminal { ProgressBar::no_length() } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template(BAR_TEMPLATE) {
        bar.set_style(style.progress_chars("##-").with_key("speed", write_speed));
    }
    let show = async {
        loop {
            sleep(if is_terminal { REDRAW_INTERVAL } else { LINE_INTERVAL }).await;
            update(&bar, progress);
            if !is_terminal {
                // If stderr is closed, there is nowhere to report that.
                let _ = writeln!(std::io::stderr(), "{}", line_of(&bar));
            }
        }
    };
    let result = tokio::select! {
        result = rebuild => result,
        () = show => unreachable!("the loop has no end"),
    };
    bar.finish_and_clear();
    result
}

fn update(bar: &ProgressBar, progress: &RebuildProgress) {
    let (folded, total) = (progress.folded.load(Ordering::Relaxed), progress.total.load(Ordering::Relaxed));
    bar.set_length(u64::try_from(total).unwrap_or_default().max(1));
    bar.set_position(u64::try_from(folded).unwrap_or_default());
}

/// The state of the bar as one line of text.
fn line_of(bar: &ProgressBar) -> String {
    let (folded, total) = (bar.position(), bar.length().unwrap_or(1));
    let percent = 100 * folded.min(total) / total;
    format!("{percent} %, {folded} of {total} events, {}", speed(bar.per_sec(), bar.eta()))
}

/// What the template shows for `{speed}`.
fn write_speed(state: &ProgressState, out: &mut dyn fmt::Write) {
    // Cannot fail: the template is written to memory.
    let _ = out.write_str(&speed(state.per_sec(), state.eta()));
}

fn speed(events_per_s: f64, time_left: Duration) -> String {
    match events_per_s > 0.0 {
        true => format!("{events_per_s:.0}/s, {} s left", time_left.as_secs()),
        false => "0/s, time left unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_share_the_events_and_the_total() {
        let (bar, progress) = (ProgressBar::hidden(), RebuildProgress::default());
        update(&bar, &progress);
        assert!(line_of(&bar).starts_with("0 %, 0 of 1 events, 0/s, time left unknown"), "{}", line_of(&bar));
        progress.total.store(6_000, Ordering::Relaxed);
        progress.folded.store(1_500, Ordering::Relaxed);
        update(&bar, &progress);
        assert!(line_of(&bar).starts_with("25 %, 1500 of 6000 events, "), "{}", line_of(&bar));
        // The log has grown meanwhile, so more events than there were at first are folded.
        progress.folded.store(6_100, Ordering::Relaxed);
        update(&bar, &progress);
        assert!(line_of(&bar).starts_with("100 %, 6100 of 6000 events, "), "{}", line_of(&bar));
    }

    #[test]
    fn the_template_of_the_bar_is_valid() {
        ProgressStyle::with_template(BAR_TEMPLATE).unwrap();
    }
}
