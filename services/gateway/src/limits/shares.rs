//! Bounded resources that callers share: requests that wait, bytes of request bodies, places in a queue.
//!
//! Each resource has a limit in all, one for a workspace and one for a caller. So a caller that takes all it can get is
//! refused itself, and leaves the rest to others.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use tidelog_core::ids::WorkspaceId;
use tidelog_postgres::LockExt;
use uuid::Uuid;

/// Who takes a share: a credential of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) workspace: WorkspaceId,
    /// The device, key or analyst token.
    pub(crate) caller: Uuid,
}

/// The limits of a resource, in its own unit. A limit that is larger than one above it has no effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShareLimits {
    pub(crate) total: usize,
    pub(crate) workspace: usize,
    pub(crate) caller: usize,
}

/// Which limit a caller has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exhausted {
    /// All that there is, is taken.
    Total,
    /// The workspace has its share.
    Workspace,
    /// The caller has its share.
    Caller,
}

/// A resource, and what is taken of it.
pub(crate) struct Shares {
    limits: ShareLimits,
    taken: Mutex<Taken>,
}

/// What is taken: in all, by workspace, by caller. An owner that has nothing has no entry.
#[derive(Default)]
struct Taken {
    total: usize,
    workspaces: HashMap<WorkspaceId, usize>,
    callers: HashMap<(WorkspaceId, Uuid), usize>,
}

impl Shares {
    pub(crate) fn new(limits: ShareLimits) -> Arc<Self> {
        Arc::new(Self { limits, taken: Mutex::default() })
    }

    /// An empty share for an owner.
    pub(crate) fn open(self: &Arc<Self>, owner: Owner) -> Share {
        Share { shares: Arc::clone(self), owner, amount: 0 }
    }

    /// A share of one unit.
    pub(crate) fn take_one(self: &Arc<Self>, owner: Owner) -> Result<Share, Exhausted> {
        let mut share = self.open(owner);
        share.grow(1)?;
        Ok(share)
    }

    /// What is taken in all.
    pub(crate) fn taken(&self) -> usize {
        self.taken.lock_unpoisoned().total
    }

    fn take(&self, owner: Owner, amount: usize) -> Result<(), Exhausted> {
        let key = (owner.workspace, owner.caller);
        let mut taken = self.taken.lock_unpoisoned();
        let of_workspace = taken.workspaces.get(&owner.workspace).copied().unwrap_or(0);
        let of_caller = taken.callers.get(&key).copied().unwrap_or(0);
        if of_caller + amount > self.limits.caller {
            return Err(Exhausted::Caller);
        }
        if of_workspace + amount > self.limits.workspace {
            return Err(Exhausted::Workspace);
        }
        if taken.total + amount > self.limits.total {
            return Err(Exhausted::Total);
        }
        taken.total += amount;
        taken.workspaces.insert(owner.workspace, of_workspace + amount);
        taken.callers.insert(key, of_caller + amount);
        Ok(())
    }

    fn give_back(&self, owner: Owner, amount: usize) {
        let mut taken = self.taken.lock_unpoisoned();
        taken.total = taken.total.saturating_sub(amount);
        subtract(&mut taken.workspaces, owner.workspace, amount);
        subtract(&mut taken.callers, (owner.workspace, owner.caller), amount);
    }
}

fn subtract<K: Hash + Eq>(taken: &mut HashMap<K, usize>, key: K, amount: usize) {
    if let Some(of_key) = taken.get_mut(&key) {
        *of_key = of_key.saturating_sub(amount);
        if *of_key == 0 {
            taken.remove(&key);
        }
    }
}

/// What one request holds of a resource. It goes back when this is dropped.
pub(crate) struct Share {
    shares: Arc<Shares>,
    owner: Owner,
    amount: usize,
}

impl Share {
    /// Takes more. If a limit is reached, the share stays as it was.
    pub(crate) fn grow(&mut self, amount: usize) -> Result<(), Exhausted> {
        self.shares.take(self.owner, amount)?;
        self.amount += amount;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.shares.give_back(self.owner, self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(workspace: u128, caller: u128) -> Owner {
        Owner { workspace: WorkspaceId(Uuid::from_u128(workspace)), caller: Uuid::from_u128(caller) }
    }

    #[test]
    fn a_caller_is_refused_at_its_share_and_others_go_on() {
        let shares = Shares::new(ShareLimits { total: 10, workspace: 6, caller: 4 });
        let mut greedy = shares.open(owner(1, 1));
        assert_eq!((greedy.grow(4), greedy.grow(1)), (Ok(()), Err(Exhausted::Caller)));
        let mut neighbour = shares.open(owner(1, 2));
        assert_eq!((neighbour.grow(2), neighbour.grow(1)), (Ok(()), Err(Exhausted::Workspace)));
        let mut foreign = shares.open(owner(2, 1));
        assert_eq!((foreign.grow(4), shares.taken()), (Ok(()), 10));
        assert_eq!(shares.take_one(owner(3, 1)).err(), Some(Exhausted::Total));
        drop(greedy);
        assert_eq!(neighbour.grow(2), Ok(()), "what was given back can be taken");
        drop((neighbour, foreign));
        assert_eq!(shares.taken(), 0);
        let taken = shares.taken.lock_unpoisoned();
        assert!(taken.workspaces.is_empty() && taken.callers.is_empty(), "nobody who has nothing is remembered");
    }
}
