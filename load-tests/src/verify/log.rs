//! The whole log as a full client reads it: pulled page by page from the start, and folded event by event.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tidelog_core::event::Event;
use tidelog_core::fold::Folder;
use tidelog_core::ids::Position;
use tidelog_core::limits::PAGE_EVENTS_MAX;
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::PullResponse;

use super::compared_state::LiveRecord;
use super::trace::Trace;
use crate::client::Client;
use crate::output;

/// Limit of [`Log::unexpected_verdicts`].
const UNEXPECTED_VERDICTS_MAX: usize = 10;

/// A log that was pulled and folded.
#[derive(Default)]
pub(super) struct Log {
    folder: Folder,
    /// The batch of the last event.
    last_batch: Position,
    /// The position of the last event.
    pub(super) head: Position,
    /// The number of events.
    pub(super) events: u64,
    /// The number of events among them that the server made of its own: of catalogs and devices.
    pub(super) of_server: u64,
    /// The other events, which are the ops of devices.
    pub(super) pulled: Trace,
    /// The number of pages.
    pub(super) pages: u64,
    /// The time to pull and decode the pages.
    pub(super) pull_seconds: f64,
    /// The time to fold the events.
    pub(super) fold_seconds: f64,
    /// The first events that were not simply applied. All should be, since none was concurrent with another.
    pub(super) unexpected_verdicts: Vec<String>,
}

/// Pulls the log from the start to its head.
pub(super) async fn pull_and_fold(client: &Client, token: &str) -> Result<Log> {
    let mut log = Log::default();
    let (mut pull_time, mut fold_time) = (Duration::ZERO, Duration::ZERO);
    let progress = output::progress_bar("pulling", 0);
    let mut cursor = None;
    loop {
        let started = Instant::now();
        let page = client.pull(token, cursor.as_ref(), PAGE_EVENTS_MAX).await?;
        pull_time += started.elapsed();
        log.pages += 1;
        progress.set_length(page.head.0.unsigned_abs());
        let (next, more) = (page.cursor, page.more);
        ensure!(
            !more || cursor != Some(next),
            "the pull after {next} says that there is more, but its cursor does not move on"
        );
        cursor = Some(next);
        let events = log.add_page(page)?;
        let started = Instant::now();
        events.iter().try_for_each(|event| log.fold(event))?;
        fold_time += started.elapsed();
        progress.set_position(log.head.0.unsigned_abs());
        if !more {
            break;
        }
    }
    progress.finish_and_clear();
    (log.pull_seconds, log.fold_seconds) = (pull_time.as_secs_f64(), fold_time.as_secs_f64());
    Ok(log)
}

impl Log {
    /// The live records, in key order. Drops the state of the fold, which takes more memory than the records.
    pub(super) fn take_live_records(&mut self) -> Vec<LiveRecord> {
        std::mem::take(&mut self.folder).views(false).filter(|view| !view.deleted).map(LiveRecord::of).collect()
    }

    /// Adds a page and returns its events. Fails if it does not hold whole batches that follow the page before it.
    fn add_page(&mut self, page: PullResponse) -> Result<Vec<Event>> {
        let is_split = page.events.first().is_some_and(|event| event.batch == self.last_batch);
        ensure!(!is_split, "PULL-1: batch {} is split between two pages", self.last_batch);
        let mut events = Vec::with_capacity(page.events.len());
        for view in page.events {
            let is_next = view.position.0 == self.head.0 + 1;
            ensure!(is_next, "PULL-1: the event at {} follows the one at {}", view.position, self.head);
            (self.head, self.last_batch) = (view.position, view.batch);
            let event = Event::try_from(view).context("a pulled event cannot be read")?;
            self.events += 1;
            if event.table.is_server_owned() {
                self.of_server += 1;
            } else {
                self.pulled.add_event(&event)?;
            }
            events.push(event);
        }
        ensure!(
            page.position == self.head,
            "a page says that it ends at {}, and its last event is at {}",
            page.position,
            self.head
        );
        Ok(events)
    }

    fn fold(&mut self, event: &Event) -> Result<()> {
        let folded = self.folder.fold(event).context("the pulled log cannot be folded")?;
        if folded.verdict != Verdict::Applied && self.unexpected_verdicts.len() < UNEXPECTED_VERDICTS_MAX {
            let record = output::printable(event.record.as_str().as_bytes());
            self.unexpected_verdicts.push(format!(
                "the event at {} of record {record} is {}",
                event.position,
                folded.verdict.as_str()
            ));
        }
        Ok(())
    }
}
