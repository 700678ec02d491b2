//! How far a rebuild is, for whoever watches: one line that rewrites itself on a terminal, now and then a line elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidelog_projector::RebuildProgress;
use tokio::time::{Instant, sleep};

/// How often the line of a terminal is rewritten.
const REWRITE: Duration = Duration::from_millis(250);
/// How often a line is added elsewhere.
const LINE: Duration = Duration::from_secs(10);
/// Characters of the bar.
const BAR: i64 = 30;

/// Does some work and shows how far it is meanwhile, on stderr.
pub(crate) async fn shown<T>(progress: &Arc<RebuildProgress>, work: impl Future<Output = T>) -> T {
    let is_terminal = std::io::stderr().is_terminal();
    let began = (Instant::now(), progress.folded.load(Ordering::Relaxed));
    let showing = async {
        loop {
            sleep(if is_terminal { REWRITE } else { LINE }).await;
            let line = line_of(progress, began);
            // Where stderr is gone there is nobody left to tell.
            let _ = match is_terminal {
                true => write!(std::io::stderr(), "\r\x1b[K{line}"),
                false => writeln!(std::io::stderr(), "{line}"),
            };
        }
    };
    let done = tokio::select! {
        done = work => done,
        () = showing => unreachable!("it shows until the work is done"),
    };
    if is_terminal {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    done
}

fn line_of(progress: &RebuildProgress, (began, before): (Instant, i64)) -> String {
    let (folded, total) = (progress.folded.load(Ordering::Relaxed), progress.total.load(Ordering::Relaxed).max(1));
    let done = folded.min(total);
    let bar = "#".repeat(usize::try_from(BAR * done / total).unwrap_or_default());
    let rate = (folded - before) as f64 / began.elapsed().as_secs_f64().max(0.001);
    let left = match rate > 0.0 {
        true => format!("{} s left", ((total - done) as f64 / rate).ceil()),
        false => "not known how long".to_owned(),
    };
    let width = BAR as usize;
    format!("[{bar:<width$}] {} %, {folded} of {total} events, {rate:.0}/s, {left}", 100 * done / total)
}
