//! One push of a device in the queue at a time. A device that sends the next one meanwhile waits on its connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tidelog_core::error::Code;
use tidelog_core::ids::{DeviceId, WorkspaceId};
use tidelog_postgres::LockExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::error::ApiError;

/// Pushes of one device that may be under way: the one in the queue, and those that wait behind it. A client needs one;
/// more are those whose response it did not wait for.
const DEVICE_PUSHES_MAX: usize = 64;

/// The devices with pushes under way.
#[derive(Clone, Default)]
pub(crate) struct DeviceTurns(Arc<Mutex<HashMap<(WorkspaceId, DeviceId), DevicePushes>>>);

struct DevicePushes {
    turn: Arc<Semaphore>,
    under_way: usize,
}

/// A device's turn to have a push in the queue.
pub(crate) struct DeviceTurn {
    // Dropped in this order: the next push has its turn before the device may be forgotten.
    _permit: OwnedSemaphorePermit,
    _under_way: UnderWay,
}

/// A push that is counted as under way.
struct UnderWay {
    turns: DeviceTurns,
    key: (WorkspaceId, DeviceId),
}

impl DeviceTurns {
    /// Waits until no other push of the device is in the queue.
    pub(crate) async fn take(&self, workspace: WorkspaceId, device: DeviceId) -> Result<DeviceTurn, ApiError> {
        let key = (workspace, device);
        let (turn, under_way) = {
            let mut devices = self.0.lock_unpoisoned();
            let pushes =
                devices.entry(key).or_insert_with(|| DevicePushes { turn: Arc::new(Semaphore::new(1)), under_way: 0 });
            if pushes.under_way == DEVICE_PUSHES_MAX {
                let detail = "this device has as many pushes under way as it may";
                let limited = ApiError::new(Code::RateLimited, detail).with_limit(DEVICE_PUSHES_MAX);
                return Err(ApiError { retry_after_ms: Some(1_000), ..limited });
            }
            pushes.under_way += 1;
            (Arc::clone(&pushes.turn), UnderWay { turns: self.clone(), key })
        };
        let permit = turn.acquire_owned().await.map_err(|_| ApiError::unavailable("the server is stopping"))?;
        Ok(DeviceTurn { _permit: permit, _under_way: under_way })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut devices = self.turns.0.lock_unpoisoned();
        if let Some(pushes) = devices.get_mut(&self.key) {
            pushes.under_way -= 1;
            if pushes.under_way == 0 {
                devices.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn pushes_of_a_device_take_turns_and_one_too_many_is_refused() {
        let turns = DeviceTurns::default();
        let (workspace, device) = (WorkspaceId(Uuid::nil()), DeviceId(Uuid::from_u128(1)));
        let first = turns.take(workspace, device).await.unwrap();
        let waiting: Vec<_> = (1..DEVICE_PUSHES_MAX)
            .map(|_| {
                let turns = turns.clone();
                tokio::spawn(async move { turns.take(workspace, device).await.map(drop) })
            })
            .collect();
        while turns.0.lock_unpoisoned()[&(workspace, device)].under_way < DEVICE_PUSHES_MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(turns.take(workspace, device).await.err().unwrap().code, Code::RateLimited);
        turns.take(workspace, DeviceId(Uuid::from_u128(2))).await.unwrap();
        drop(first);
        for one in waiting {
            one.await.unwrap().unwrap();
        }
        assert!(turns.0.lock_unpoisoned().is_empty(), "nobody without a push is remembered");
    }
}
