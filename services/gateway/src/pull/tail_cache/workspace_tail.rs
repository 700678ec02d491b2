//! The tail of one workspace: read further by one reader at a time, for all who wait for it.

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
const BYTES_MAX: usize = PAGE_BYTES_MAX;
/// Most events of one tail: fewer than a page may look at.
const EVENTS_MAX: usize = 32_768;

/// A workspace's tail, and whose turn it is to read on.
pub(crate) struct WorkspaceTail {
    /// How many looks at the log have begun.
    begun: AtomicU64,
    /// Where the tail starts; past every position where there is none.
    start: AtomicI64,
    /// Where a tail may begin: from further back too much would have to be read.
    floor: AtomicI64,
    /// What it was last counted for in the sum of all.
    counted: AtomicUsize,
    bytes: AtomicUsize,
    /// When it was used, in uses of any tail.
    pub(crate) used: AtomicU64,
    turn: Mutex<Turn>,
}

#[derive(Default)]
struct Turn {
    tail: Option<Tail>,
    /// Which look at the log was the last to end well, and what it saw.
    last: Option<(u64, Option<TailView>)>,
}

impl Default for WorkspaceTail {
    fn default() -> Self {
        Self {
            begun: AtomicU64::new(0),
            start: AtomicI64::new(i64::MAX),
            floor: AtomicI64::new(0),
            counted: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            used: AtomicU64::new(0),
            turn: Mutex::default(),
        }
    }
}

impl WorkspaceTail {
    /// Whether the tail reaches back to a position, as far as can be said without waiting.
    pub(crate) fn covers(&self, position: Position) -> bool {
        self.start.load(Ordering::Acquire) <= position.0
    }

    /// Whether a tail may begin here.
    pub(crate) fn may_begin_at(&self, position: Position) -> bool {
        self.floor.load(Ordering::Acquire) <= position.0
    }

    /// What it is to be counted for from now on, and what it was.
    pub(crate) fn recount(&self, own_bytes: usize) -> (usize, usize) {
        let now = self.bytes.load(Ordering::Acquire) + own_bytes;
        (now, self.counted.swap(now, Ordering::AcqRel))
    }

    /// What it was last counted for.
    pub(crate) fn counted(&self) -> usize {
        self.counted.load(Ordering::Acquire)
    }

    /// The log's end as of now: of a moment after this call. `None`: there is no tail, or none that `from`, a cursor that
    /// was just checked, could be part of.
    pub(crate) async fn look(
        &self,
        store: &Store,
        workspace: WorkspaceId,
        from: Option<Cursor>,
    ) -> Result<Option<TailView>, LogError> {
        let begun_before = self.begun.load(Ordering::Acquire);
        let mut turn = self.turn.lock().await;
        if let Some((number, view)) = &turn.last
            && *number > begun_before
            && from.is_none_or(|from| view.as_ref().is_none_or(|view| view.covers(from.position)))
        {
            // It began after we came, so it saw all that was acknowledged before.
            return Ok(view.clone());
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        // Who came before this look shares it; and what the last one saw is let go, so that the tail can grow in place.
        turn.last = None;
        let view = self.read_on(store, workspace, &mut turn.tail, from).await;
        self.start.store(turn.tail.as_ref().map_or(i64::MAX, |tail| tail.start.position.0), Ordering::Release);
        self.bytes.store(turn.tail.as_ref().map_or(0, |tail| tail.bytes), Ordering::Release);
        // After a failure those who wait go to the log by themselves, side by side.
        turn.last = Some((number, view.as_ref().ok().cloned().flatten()));
        view
    }

    /// Brings the tail up to the head. Whatever goes wrong on the way, there is no tail then.
    async fn read_on(
        &self,
        store: &Store,
        workspace: WorkspaceId,
        kept: &mut Option<Tail>,
        from: Option<Cursor>,
    ) -> Result<Option<TailView>, LogError> {
        let tail = kept.take();
        let asked = tail.as_ref().map_or(Position::START, |tail| tail.end.position);
        let Some(head) = store.head(workspace, asked).await? else { return Ok(None) };
        let tail =
            tail.filter(|tail| tail.is_of(&head) && from.is_none_or(|from| tail.start.position <= from.position));
        let Some(mut tail) = tail.or_else(|| from.map(Tail::after)) else { return Ok(None) };
        if !tail.read_to(store, workspace, head.head).await? {
            self.floor.store(head.head.0, Ordering::Release);
            return Ok(None);
        }
        tail.shrink();
        let view = TailView {
            head: head.head,
            catalog_version: head.catalog_version,
            start: tail.start,
            segments: tail.segments.iter().cloned().collect(),
        };
        *kept = Some(tail);
        Ok(Some(view))
    }
}

#[cfg(test)]
impl WorkspaceTail {
    /// One with a tail of so many bytes, last used at `used`.
    pub(crate) fn of_bytes(bytes: usize, used: u64) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(bytes), used: AtomicU64::new(used), ..Self::default() })
    }
}

/// The last events of a log, without a hole.
struct Tail {
    /// Before its first event.
    start: Cursor,
    /// Its last event.
    end: Cursor,
    segments: VecDeque<Arc<Segment>>,
    bytes: usize,
    events: usize,
}

impl Tail {
    fn after(start: Cursor) -> Self {
        Self { start, end: start, segments: VecDeque::new(), bytes: 0, events: 0 }
    }

    /// Whether a log still has the tail's last event, and with it all before.
    fn is_of(&self, head: &LogHead) -> bool {
        self.end.position == Position::START || head.check == Some(self.end.check)
    }

    /// Reads on up to `head`. Returns false if that is more than a tail holds.
    async fn read_to(&mut self, store: &Store, workspace: WorkspaceId, head: Position) -> Result<bool, LogError> {
        let mut scan = ContinuedScan::after(workspace, self.end);
        let mut read_bytes = 0;
        while self.end.position < head {
            let bytes_max = BYTES_MAX - read_bytes;
            let read = ScanRead { to: head, filter: None, rows_max: usize::MAX, bytes_max };
            let progress = scan.read(store, read, |row, _| self.push(row)).await?;
            if progress.rows == 0 {
                return Err(LogError::Diverged);
            }
            read_bytes += progress.bytes;
            if read_bytes > BYTES_MAX {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes the next event; the bytes that it takes.
    fn push(&mut self, row: &LogRow<'_>) -> usize {
        if !self.segments.back().is_some_and(|segment| segment.is_open()) {
            self.segments.push_back(Arc::default());
        }
        let Some(last) = self.segments.back_mut() else { return 0 };
        // A segment that is being read is copied first; it is small.
        let last = Arc::make_mut(last);
        let before = last.bytes();
        last.push(row);
        let bytes = last.bytes() - before;
        (self.bytes, self.events, self.end) = (self.bytes + bytes, self.events + 1, row.cursor());
        bytes
    }

    /// Lets the oldest events go until what is left is a tail.
    fn shrink(&mut self) {
        while self.bytes > BYTES_MAX || self.events > EVENTS_MAX {
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

    /// Events of one batch each, of a history that the digests tell.
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
    async fn a_log_that_is_replaced_between_a_look_and_the_reading_does_not_extend_a_tail() {
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
            tail.shrink();
            assert!(tail.bytes <= BYTES_MAX && tail.end.position == Position(head));
            let (count, bytes) = tail.segments.iter().fold((0, 0), |(c, b), one| (c + one.count(), b + one.bytes()));
            assert_eq!((count, bytes), (tail.events, tail.bytes));
            assert_eq!(tail.start.position.0 + count as i64, head);
            database.write_log(WORKSPACE, Uuid::from_u128(1), &events(head + 1..=head + 30, 200_000, 1)).await;
        }
        assert!(tail.start.position.0 > 100);
        assert!(
            !Tail::after(Cursor::START).read_to(&store, WORKSPACE, Position(150)).await.unwrap(),
            "that is no tail"
        );
    }
}
