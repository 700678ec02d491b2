//! The records as the server folded them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tidelog_core::ids::Position;
use tidelog_core::limits::PAGE_EVENTS_MAX;

use super::side::LiveRecord;
use crate::client::Client;
use crate::output;

/// Longest time in which the projector may make no headway.
const STANDSTILL_MAX: Duration = Duration::from_secs(60);
/// First and longest wait between two looks at the projector.
const LOOK_FIRST: Duration = Duration::from_millis(20);
const LOOK_LAST: Duration = Duration::from_secs(1);

/// What `/sync/records` served.
pub(super) struct Served {
    /// The records that live, in key order.
    pub(super) records: Vec<LiveRecord>,
    /// Pages read.
    pub(super) pages: u64,
}

/// Waits until the projector has folded the log up to `head`; returns the seconds it took.
pub(super) async fn await_projector(client: &Client, token: &str, head: Position) -> Result<f64> {
    let started = Instant::now();
    let progress = output::progress_bar("projecting", head.0.unsigned_abs());
    let (mut projected, mut moved) = (Position::START, Instant::now());
    let mut look = LOOK_FIRST;
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
            "the projector stands at {projected} of {head} for {} s: does one run?",
            STANDSTILL_MAX.as_secs()
        );
        tokio::time::sleep(look).await;
        look = (look * 2).min(LOOK_LAST);
    }
    progress.finish_and_clear();
    Ok(started.elapsed().as_secs_f64())
}

/// Reads every live record.
pub(super) async fn read_all(client: &Client, token: &str, head: Position) -> Result<Served> {
    let mut served = Served { records: Vec::new(), pages: 0 };
    let mut version = Position::START;
    let mut cursor: Option<String> = None;
    loop {
        let page = client.records(token, cursor.as_deref(), PAGE_EVENTS_MAX).await?;
        served.pages += 1;
        for view in page.records {
            let record = &view.record;
            ensure!(view.version > version, "record {record:?} of version {} follows version {version}", view.version);
            ensure!(!view.deleted, "a first read holds the tombstone of record {record:?}");
            version = view.version;
            served.records.push(LiveRecord::of(view));
        }
        if !page.end.more {
            ensure!(
                page.end.position == head,
                "the records are as of {}, and the log ends at {head}",
                page.end.position
            );
            ensure!(page.end.pull_cursor.is_some(), "the last page of records has no pull_cursor");
            break;
        }
        ensure!(
            cursor.as_ref() != Some(&page.end.cursor),
            "the read after {} has more but does not move on",
            page.end.cursor
        );
        cursor = Some(page.end.cursor);
    }
    served.records.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(served)
}
