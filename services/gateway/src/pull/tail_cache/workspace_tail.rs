//! The tail of one workspace. One task at a time brings it up to the head, for all pulls that wait for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use tidelog_core::cursor::Cursor;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::limits::PAGE_BYTES_MAX;
use tidelog_postgres::{ContinuedScan, LogError, LogHead, LogRow, ScanRead, Store};
use tokio::sync::Mutex;

use crate::pull::tail_cache::reader::TailView;
use crate::pull::tail_cache::segment::Segment;

/// Size limit of one tail and of one catch-up read. If catching up would take more, no tail is kept.
const TAIL_BYTES_MAX: usize = PAGE_BYTES_MAX;
/// Maximum number of events in one tail. Fewer than a page may look at, so a page from a tail needs no such limit.
const TAIL_EVENTS_MAX: usize = 32_768;

/// The tail of a workspace, if there is one, and the lock that serializes catch-ups.
///
/// The atomics repeat some of what is behind the lock, so that it can be read while a catch-up runs.
pub(crate) struct WorkspaceTail {
    /// How many catch-ups have begun so far.
    catch_ups_begun: AtomicU64,
    /// The position that the tail reaches back to; `i64::MAX` without a tail.
    start: AtomicI64,
    /// The lowest position at which a tail may begin. From further back, too much would have to be read.
    start_min: AtomicI64,
    /// The size of the tail.
    bytes: AtomicUsize,
    /// What the tail is counted for at present in the sum of all tails.
    counted_bytes: AtomicUsize,
    /// The number of the tail's last use, where uses of all tails are counted together.
    pub(crate) last_use: AtomicU64,
    state: Mutex<TailState>,
}

#[derive(Default)]
struct TailState {
    tail: Option<Tail>,
    /// The catch-up that finished last, unless one is running.
    latest: Option<CatchUp>,
}

/// A finished catch-up.
struct CatchUp {
    /// Its number, counted from 1.
    number: u64,
    /// The end of the log as it was then. `None` if there is no tail.
    view: Option<TailView>,
}

impl Default for WorkspaceTail {
    fn default() -> Self {
        Self {
            catch_ups_begun: AtomicU64::new(0),
            start: AtomicI64::new(i64::MAX),
            start_min: AtomicI64::new(0),
            bytes: AtomicUsize::new(0),
            counted_bytes: AtomicUsize::new(0),
            last_use: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }
}

impl WorkspaceTail {
    /// Whether the tail reaches back to a position. Does not wait for a catch-up that runs.
    pub(crate) fn covers(&self, position: Position) -> bool {
        self.start.load(Ordering::Acquire) <= position.0
    }

    /// Whether a tail may begin at a position.
    pub(crate) fn may_begin_at(&self, position: Position) -> bool {
        self.start_min.load(Ordering::Acquire) <= position.0
    }

    /// Counts the tail by its present size plus `overhead_bytes`. Returns what it is counted for now, and was before.
    pub(crate) fn recount(&self, overhead_bytes: usize) -> (usize, usize) {
        let now = self.bytes.load(Ordering::Acquire) + overhead_bytes;
        (now, self.counted_bytes.swap(now, Ordering::AcqRel))
    }

    /// What the tail is counted for at present.
    pub(crate) fn counted_bytes(&self) -> usize {
        self.counted_bytes.load(Ordering::Acquire)
    }

    /// The end of the log at a moment after this call: brings the tail up to the head, or shares another call's catch-up.
    ///
    /// With `from`, a cursor that was just checked, a tail that does not reach back to it is replaced by one that begins
    /// there. `None` if there is no tail.
    pub(crate) async fn catch_up(
        &self,
        store: &Store,
        workspace: WorkspaceId,
        from: Option<Cursor>,
    ) -> Result<Option<TailView>, LogError> {
        let begun_before = self.catch_ups_begun.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(CatchUp { number, view }) = &state.latest
            && *number > begun_before
            && from.is_none_or(|from| view.as_ref().is_none_or(|view| view.covers(from.position)))
        {
            // It began after this call, so it read everything that was acknowledged before the call.
            return Ok(view.clone());
        }
        let number = self.catch_ups_begun.fetch_add(1, Ordering::AcqRel) + 1;
        // Frees the view of the previous catch-up: as long as it shares the last segment, that cannot grow in place.
        state.latest = None;
        let view = self.extend(store, workspace, &mut state.tail, from).await;
        self.start.store(state.tail.as_ref().map_or(i64::MAX, |tail| tail.start.position.0), Ordering::Release);
        self.bytes.store(state.tail.as_ref().map_or(0, |tail| tail.bytes), Ordering::Release);
        // A failure is shared as "no tail": the pulls that wait read the database by themselves, concurrently.
        state.latest = Some(CatchUp { number, view: view.as_ref().ok().cloned().flatten() });
        view
    }

    /// Extends the tail to the head, or starts one at `from`. If that fails, there is no tail afterwards.
    async fn extend(
        &self,
        store: &Store,
        workspace: WorkspaceId,
        current: &mut Option<Tail>,
        from: Option<Cursor>,
    ) -> Result<Option<TailView>, LogError> {
        let known = current.take();
        let end = known.as_ref().map_or(Position::START, |tail| tail.end.position);
        let Some(head) = store.head(workspace, end).await? else { return Ok(None) };
        let known =
            known.filter(|tail| tail.is_of(&head) && from.is_none_or(|from| tail.start.position <= from.position));
        let Some(mut tail) = known.or_else(|| from.map(Tail::after)) else { return Ok(None) };
        if !tail.read_to(store, workspace, head.head).await? {
            self.start_min.store(head.head.0, Ordering::Release);
            return Ok(None);
        }
        tail.drop_oldest();
        let view = TailView {
            head: head.head,
            catalog_version: head.catalog_version,
            access_position: head.access_position,
            start: tail.start,
            segments: tail.segments.iter().cloned().collect(),
        };
        *current = Some(tail);
        Ok(Some(view))
    }
}

#[cfg(test)]
impl WorkspaceTail {
    /// A tail that claims a size and a last use.
    pub(crate) fn of_bytes(bytes: usize, last_use: u64) -> Arc<Self> {
        let (bytes, last_use) = (AtomicUsize::new(bytes), AtomicU64::new(last_use));
        Arc::new(Self { bytes, last_use, ..Self::default() })
    }
}

/// The last events of a log, without a gap.
struct Tail {
    /// The cursor after which the tail begins.
    start: Cursor,
    /// The cursor of the tail's last event; `start` if there is none.
    end: Cursor,
    segments: VecDeque<Arc<Segment>>,
    bytes: usize,
    events: usize,
}

impl Tail {
    fn after(start: Cursor) -> Self {
        Self { start, end: start, segments: VecDeque::new(), bytes: 0, events: 0 }
    }

    /// Whether the log still has the tail's last event. Then it also has all events before it: two histories that have parted
    /// never have the same event at a position again (docs/adr/0015).
    fn is_of(&self, head: &LogHead) -> bool {
        self.end.position == Position::START || head.check == Some(self.end.check)
    }

    /// Reads on up to `head`. Returns false if that is more than a tail holds.
    async fn read_to(&mut self, store: &Store, workspace: WorkspaceId, head: Position) -> Result<bool, LogError> {
        let mut scan = ContinuedScan::after(workspace, self.end);
        let mut read_bytes = 0;
        while self.end.position < head {
            let bytes_max = TAIL_BYTES_MAX - read_bytes;
            let read = ScanRead { to: head, filter: None, rows_max: usize::MAX, bytes_max };
            let progress = scan.read(store, read, |row, _| self.push(row)).await?;
            if progress.rows == 0 {
                return Err(LogError::Diverged);
            }
            read_bytes += progress.bytes;
            if read_bytes > TAIL_BYTES_MAX {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Appends the next event. Returns the memory that it takes, in bytes.
    fn push(&mut self, row: &LogRow<'_>) -> usize {
        if !self.segments.back().is_some_and(|segment| segment.is_open()) {
            self.segments.push_back(Arc::default());
        }
        let Some(last) = self.segments.back_mut() else { return 0 };
        // If a reader shares the segment, this copies it first, which is cheap because segments are small.
        let last = Arc::make_mut(last);
        let before = last.bytes();
        last.push(row);
        let bytes = last.bytes() - before;
        (self.bytes, self.events, self.end) = (self.bytes + bytes, self.events + 1, row.cursor());
        bytes
    }

    /// Drops the oldest segments until the rest is within the limits of a tail.
    fn drop_oldest(&mut self) {
        while self.bytes > TAIL_BYTES_MAX || self.events > TAIL_EVENTS_MAX {
            let Some(oldest) = self.segments.pop_front() else { return };
            self.bytes -= oldest.bytes();
            self.events -= oldest.count();
            let last = oldest.last();
            if let Some(check) = oldest.check_at(last) {
                self.start = Cursor { position: last, check };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tidelog_core::digest::Digest;
    use tidelog_core::time::UnixMs;
    use tidelog_postgres::StoreConfig;
    use tidelog_testkit::{StoredEvent, TestDatabase};
    use uuid::Uuid;

    use super::*;

    const WORKSPACE: WorkspaceId = WorkspaceId(Uuid::from_u128(7));

    /// Events in batches of one. Their digests depend on `history`, so that two histories can be told apart.
    fn events(positions: std::ops::RangeInclusive<i64>, fields_bytes: usize, history: i64) -> Vec<StoredEvent> {
        let event = |position| StoredEvent {
            position: Position(position),
            batch: Position(position),
            table: "notes".to_owned(),
            scope: String::new(),
            is_rejected: false,
            fields: vec![0x80; fields_bytes],
            digest: Digest(position * 10 + history),
            received_at: UnixMs(1_790_000_000_000),
        };
        positions.map(event).collect()
    }

    async fn start(events: &[StoredEvent]) -> (TestDatabase, Store) {
        let database = TestDatabase::create().await;
        let store = Store::new(&StoreConfig { url: database.url().to_owned(), pool_size: 2 }).unwrap();
        store.create_workspace(WORKSPACE, "test", &[], UnixMs(0)).await.unwrap();
        database.write_log(WORKSPACE, Uuid::from_u128(1), events).await;
        (database, store)
    }

    #[tokio::test]
    async fn a_log_that_is_replaced_between_two_reads_does_not_extend_a_tail() {
        let (database, store) = start(&events(1..=40, 10, 1)).await;
        let mut tail = Tail::after(Cursor::START);
        assert!(tail.read_to(&store, WORKSPACE, Position(40)).await.unwrap());
        database.cut_log(WORKSPACE, Position(0)).await;
        database.write_log(WORKSPACE, Uuid::from_u128(2), &events(1..=60, 10, 2)).await;
        let read = tail.read_to(&store, WORKSPACE, Position(60)).await;
        assert!(matches!(read, Err(LogError::Diverged)), "{read:?}");
        database.cut_log(WORKSPACE, Position(30)).await;
        let read = tail.read_to(&store, WORKSPACE, Position(60)).await;
        assert!(matches!(read, Err(LogError::Diverged)), "{read:?}");
    }

    #[tokio::test]
    async fn a_tail_keeps_the_newest_events_within_its_size() {
        let (database, store) = start(&events(1..=30, 200_000, 1)).await;
        let mut tail = Tail::after(Cursor::START);
        for head in (30..=150).step_by(30) {
            assert!(tail.read_to(&store, WORKSPACE, Position(head)).await.unwrap());
            tail.drop_oldest();
            assert!(tail.bytes <= TAIL_BYTES_MAX && tail.end.position == Position(head));
            let (count, bytes) = tail.segments.iter().fold((0, 0), |(c, b), one| (c + one.count(), b + one.bytes()));
            assert_eq!((count, bytes), (tail.events, tail.bytes));
            assert_eq!(tail.start.position.0 + count as i64, head);
            database.write_log(WORKSPACE, Uuid::from_u128(1), &events(head + 1..=head + 30, 200_000, 1)).await;
        }
        assert!(tail.start.position.0 > 100);
        assert!(
            !Tail::after(Cursor::START).read_to(&store, WORKSPACE, Position(150)).await.unwrap(),
            "too much to be a tail"
        );
    }
}
