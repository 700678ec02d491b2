//! Pages far from the head, kept for a few seconds for other readers that pull the same (docs/adr/0032).
//!
//! Devices that sync for the first time read the same events from the start of one log. A page of them is read and encoded
//! once. What a page holds follows from its key alone: the log before its end never changes. The one exception is a log that
//! was restored from a backup, so every reader but the one that read the page asks the database whether the log still has the
//! event at the page's end. Two logs that differ once do not become equal again (docs/adr/0015).

use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use tidelog_core::cursor::Cursor;
use tidelog_core::ids::{Position, WorkspaceId};
use tidelog_core::wire::Encoding;
use tidelog_postgres::EventFilter;

use crate::auth::{DevicePrincipal, Reader};
use crate::http::error::ApiError;
use crate::pull::page::Page;

/// Memory of all shared pages together, in bytes.
const PAGES_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long a page is kept.
const PAGE_AGE_MAX: Duration = Duration::from_secs(10);
/// What a page is counted for in addition to its events: its key and its own structures, roughly.
const PAGE_OVERHEAD_BYTES: usize = 1024;

/// All that the events of a page and their bytes depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PageKey {
    pub(crate) workspace: WorkspaceId,
    pub(crate) after: Cursor,
    /// Maximum number of events.
    pub(crate) limit: usize,
    /// The encoding of the events, and whether they are compressed.
    pub(crate) encoding: Encoding,
    pub(crate) is_compressed: bool,
    /// What the reader's role and scopes show it under the catalog of the log, of the tables and scopes that it asks for,
    /// whichever device it is.
    pub(crate) filter: EventFilter,
}

/// A page as it was read.
#[derive(Clone)]
pub(crate) struct SharedPage {
    pub(crate) page: Page,
    /// The head up to which it was read. A page that ends there may be longer by now.
    read_to: Position,
}

impl SharedPage {
    pub(crate) fn new(page: Page, read_to: Position) -> Self {
        Self { page: page.into_lasting(), read_to }
    }

    /// Whether a reader would get the same page now that the head is here, if the log still has the page's end.
    pub(crate) fn is_whole_at(&self, head: Position) -> bool {
        self.page.end.position < self.read_to || self.read_to == head
    }

    /// Whether a reader would get the same events. The page leaves out the role and scopes of every device, and a device sees
    /// its own.
    pub(crate) fn is_for(&self, reader: &Reader) -> bool {
        let names = |device: &DevicePrincipal| self.page.devices.contains(&device.device.to_string());
        self.page.devices.is_empty() || !reader.device().is_some_and(names)
    }

    /// Roughly the memory that the page takes.
    fn bytes(&self) -> usize {
        let events = self.page.events_bytes();
        let access_events = self.page.access_events.iter().map(|(_, event)| event.len()).sum::<usize>();
        let devices = self.page.devices.iter().map(String::len).sum::<usize>();
        PAGE_OVERHEAD_BYTES + events + access_events + devices
    }
}

/// The shared pages of all workspaces.
pub(crate) struct SharedPages(Cache<PageKey, SharedPage>);

impl SharedPages {
    pub(crate) fn new() -> Self {
        let weigh = |_: &PageKey, page: &SharedPage| u32::try_from(page.bytes()).unwrap_or(u32::MAX);
        // Readers go on from page to page. By moka's own policy, pages that were read often would keep out the next ones.
        let pages = Cache::builder().max_capacity(PAGES_BYTES_MAX).weigher(weigh).time_to_live(PAGE_AGE_MAX);
        Self(pages.eviction_policy(EvictionPolicy::lru()).build())
    }

    /// The page with a key. Of those who come for it at once, one reads it for all. Returns also whether it was this call.
    pub(crate) async fn get_or_read(
        &self,
        key: PageKey,
        read: impl Future<Output = Result<SharedPage, ApiError>>,
    ) -> Result<(SharedPage, bool), ApiError> {
        let mut is_read_here = false;
        let read_here = async {
            is_read_here = true;
            read.await
        };
        let page = self.0.try_get_with(key, read_here).await.map_err(|error| ApiError::clone(&error))?;
        Ok((page, is_read_here))
    }

    /// Drops a page of a log that was replaced, or that is longer now.
    pub(crate) async fn forget(&self, key: &PageKey) {
        self.0.invalidate(key).await;
    }

    /// Frees the memory of pages that are too old.
    pub(crate) async fn forget_old(&self) {
        self.0.run_pending_tasks().await;
    }

    /// Memory that the pages take, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.weighted_size()
    }
}
