//! The records that the server has folded, read with `GET /sync/records`.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tidelog_core::ids::Position;
use tidelog_core::limits::PAGE_EVENTS_MAX;

use super::compared_state::LiveRecord;
use crate::client::Client;
use crate::output;

/// Longest time in which the projector may make no progress.
const STANDSTILL_MAX: Duration = Duration::from_secs(60);
/// The first wait between two reads of the projector's position. It doubles up to the longest one.
const POLL_INTERVAL_FIRST: Duration = Duration::from_millis(20);
/// The longest wait between two reads of the projector's position.
const POLL_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// The records of the server.
pub(super) struct ServedRecords {
    /// The live records, in key order.
    pub(super) records: Vec<LiveRecord>,
    /// The number of pages that they were read in.
    pub(super) pages: u64,
}

/// Waits until the projector has folded the log up to `head`, and returns the seconds that it took.
pub(super) async fn await_projector(client: &Client, token: &str, head: Position) -> Result<f64> {
    let started = Instant::now();
    let progress = output::progress_bar("projecting", head.0.unsigned_abs());
    let (mut projected, mut moved) = (Position::START, Instant::now());
    let mut poll_interval = POLL_INTERVAL_FIRST;
    loop {
        let status = client.status(token).await?;
        progress.set_position(status.projected.0.unsigned_abs());
        if status.projected >= head {
            break;
        }
        if status.projected > projected {
            (projected, moved) = (status.projected, Instant::now());
        }
        ensure!(
            moved.elapsed() < STANDSTILL_MAX,
            "the projector has been at position {projected} of {head} for {} s: is one running?",
            STANDSTILL_MAX.as_secs()
        );
        tokio::time::sleep(poll_interval).await;
        poll_interval = (poll_interval * 2).min(POLL_INTERVAL_MAX);
    }
    progress.finish_and_clear();
    Ok(started.elapsed().as_secs_f64())
}

/// Reads all live records, and checks what the protocol promises about the pages.
pub(super) async fn read_all(client: &Client, token: &str, head: Position) -> Result<ServedRecords> {
    let mut served = ServedRecords { records: Vec::new(), pages: 0 };
    let mut version = Position::START;
    let mut cursor: Option<String> = None;
    loop {
        let page = client.records(token, cursor.as_deref(), PAGE_EVENTS_MAX).await?;
        served.pages += 1;
        for view in page.records {
            let record = output::printable(view.record.as_str().as_bytes());
            ensure!(view.version > version, "record {record} of version {} follows version {version}", view.version);
            ensure!(!view.deleted, "a read from the start holds the tombstone of record {record}");
            version = view.version;
            served.records.push(LiveRecord::of(view));
        }
        if !page.end.more {
            ensure!(
                page.end.position == head,
                "the records are those at position {}, and the log ends at {head}",
                page.end.position
            );
            ensure!(page.end.pull_cursor.is_some(), "the last page of records has no pull_cursor");
            break;
        }
        ensure!(
            cursor.as_ref() != Some(&page.end.cursor),
            "the page after {} says that there is more, but its cursor does not move on",
            page.end.cursor
        );
        cursor = Some(page.end.cursor);
    }
    served.records.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(served)
}
