//! The whole log as a full client takes it: pulled by pages from the start, folded event by event.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tidelog_core::event::Event;
use tidelog_core::fold::Folder;
use tidelog_core::ids::{CATALOG_TABLE, Position};
use tidelog_core::limits::PAGE_EVENTS_MAX;
use tidelog_core::verdict::Verdict;
use tidelog_core::wire::PullResponse;

use super::Trace;
use super::side::LiveRecord;
use crate::client::Client;
use crate::output;

/// Surprises told.
const SURPRISES_MAX: usize = 10;

/// A log, folded.
#[derive(Default)]
pub(super) struct Log {
    folder: Folder,
    last_batch: Position,
    /// The position of its last event.
    pub(super) head: Position,
    /// Its events.
    pub(super) events: u64,
    /// The `_catalog` events among them.
    pub(super) catalogs: u64,
    /// Its other events: somebody's ops.
    pub(super) pulled: Trace,
    /// Pages pulled.
    pub(super) pages: u64,
    /// Time to pull and decode them.
    pub(super) pull_seconds: f64,
    /// Time to fold them.
    pub(super) fold_seconds: f64,
    /// Ops that did not simply apply, though none was concurrent with another; the first of them.
    pub(super) surprises: Vec<String>,
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
        ensure!(!more || cursor != Some(next), "the pull after {next} has more but does not move on");
        cursor = Some(next);
        let events = log.take(page)?;
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
    /// The records that live, in key order. What was needed for folding on goes: it takes more memory than they do.
    pub(super) fn take_live_records(&mut self) -> Vec<LiveRecord> {
        std::mem::take(&mut self.folder).views(false).filter(|view| !view.deleted).map(LiveRecord::of).collect()
    }

    /// Takes in a page of whole batches that follows the last one.
    fn take(&mut self, page: PullResponse) -> Result<Vec<Event>> {
        let split = page.events.first().is_some_and(|event| event.batch == self.last_batch);
        ensure!(!split, "PULL-1: batch {} is split between two pages", self.last_batch);
        let mut events = Vec::with_capacity(page.events.len());
        for view in page.events {
            let is_next = view.position.0 == self.head.0 + 1;
            ensure!(is_next, "PULL-1: the event at {} follows the one at {}", view.position, self.head);
            (self.head, self.last_batch) = (view.position, view.batch);
            let event = Event::try_from(view).context("a pulled event cannot be read")?;
            self.events += 1;
            if event.table.as_str() == CATALOG_TABLE {
                self.catalogs += 1;
            } else {
                self.pulled.pulled(&event)?;
            }
            events.push(event);
        }
        ensure!(page.position == self.head, "a page covers up to {}, its last event is {}", page.position, self.head);
        Ok(events)
    }

    fn fold(&mut self, event: &Event) -> Result<()> {
        let folded = self.folder.fold(event).context("the pulled log cannot be folded")?;
        if folded.verdict != Verdict::Applied && self.surprises.len() < SURPRISES_MAX {
            let record = event.record.as_str().escape_debug();
            self.surprises.push(format!("event {} of {record}: {:?}", event.position, folded.verdict));
        }
        Ok(())
    }
}
