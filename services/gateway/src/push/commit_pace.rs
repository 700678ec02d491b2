//! How many groups of an append worker are under way at once, by how long commits take.
//!
//! While a commit waits for a disk or a standby, Postgres and the server are idle. So the next group is appended meanwhile, on
//! another connection. Where commits are fast that would only make groups smaller, and a small group costs more for each op.

use std::collections::VecDeque;
use std::time::Duration;

/// Commits whose median is at least so long are slow.
const SLOW_COMMIT_MIN: Duration = Duration::from_millis(1);
/// Once commits are slow, they are fast again when their median is below this. It is lower, because commits that overlap
/// share a flush, of which the later ones wait for a part.
const FAST_COMMIT_MAX: Duration = Duration::from_micros(500);
/// Samples that are remembered.
const SAMPLES_MAX: usize = 16;
/// Samples without which nothing is concluded.
const SAMPLES_MIN: usize = 4;
/// While commits are fast, one group in so many is measured: committing it by a statement of its own costs a little.
const GROUPS_PER_SAMPLE: u32 = 64;

/// How long the two parts of an append took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitSample {
    /// Until Postgres had written the rows.
    pub(crate) executed: Duration,
    /// From then until the commit was durable.
    pub(crate) committed: Duration,
}

/// The latest samples of an append worker, and what follows from them.
#[derive(Debug, Default)]
pub(crate) struct CommitPace {
    samples: VecDeque<CommitSample>,
    is_slow: bool,
    /// Groups that were begun since the last one that was measured.
    unmeasured: u32,
}

impl CommitPace {
    /// Adds a measurement.
    pub(crate) fn note(&mut self, sample: CommitSample) {
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        let median = self.median(|sample| sample.committed);
        self.is_slow =
            self.samples.len() >= SAMPLES_MIN && median >= if self.is_slow { FAST_COMMIT_MAX } else { SLOW_COMMIT_MIN };
    }

    /// How many groups may be under way: one, or as many as keep Postgres writing while each of them waits for its commit.
    pub(crate) fn groups(&self, most: usize) -> usize {
        if !self.is_slow {
            return 1;
        }
        let (executed, committed) = (self.median(|sample| sample.executed), self.median(|sample| sample.committed));
        let waiting = committed.as_nanos().div_ceil(executed.as_nanos().max(1));
        usize::try_from(waiting).unwrap_or(usize::MAX).saturating_add(1).min(most).max(1)
    }

    /// Whether the group that begins now is to be measured.
    pub(crate) fn measures_next(&mut self) -> bool {
        self.unmeasured += 1;
        let is_measured = self.is_slow || self.samples.len() < SAMPLES_MIN || self.unmeasured >= GROUPS_PER_SAMPLE;
        if is_measured {
            self.unmeasured = 0;
        }
        is_measured
    }

    fn median(&self, of: impl Fn(&CommitSample) -> Duration) -> Duration {
        let mut durations: Vec<_> = self.samples.iter().map(of).collect();
        durations.sort_unstable();
        durations.get(durations.len() / 2).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(pace: &mut CommitPace, count: usize, executed_us: u64, committed_us: u64) {
        for _ in 0..count {
            let (executed, committed) = (Duration::from_micros(executed_us), Duration::from_micros(committed_us));
            pace.note(CommitSample { executed, committed });
        }
    }

    #[test]
    fn groups_under_way_follow_the_latency_of_commits() {
        let mut pace = CommitPace::default();
        assert_eq!(pace.groups(8), 1, "nothing is known yet");
        noted(&mut pace, 16, 400, 120);
        assert_eq!(pace.groups(8), 1, "a fast disk");
        noted(&mut pace, 16, 400, 2_000);
        assert_eq!(pace.groups(8), 6, "five groups are written while one waits");
        noted(&mut pace, 16, 400, 20_000);
        assert_eq!(pace.groups(8), 8, "a standby far away");
        noted(&mut pace, 16, 4_000, 2_000);
        assert_eq!(pace.groups(8), 2, "large groups");
        noted(&mut pace, 16, 400, 700);
        assert_eq!(pace.groups(8), 3, "commits that share a flush are still slow");
        noted(&mut pace, 16, 400, 120);
        assert_eq!(pace.groups(8), 1, "the disk is fast again");
        assert_eq!(pace.groups(0), 1);
    }

    #[test]
    fn one_slow_commit_changes_nothing() {
        let mut pace = CommitPace::default();
        noted(&mut pace, 1, 400, 90_000);
        assert_eq!(pace.groups(8), 1, "a first statement that opens files");
        noted(&mut pace, 8, 400, 120);
        noted(&mut pace, 3, 400, 90_000);
        assert_eq!(pace.groups(8), 1, "a checkpoint");
    }

    #[test]
    fn every_group_is_measured_while_commits_are_slow_and_few_while_they_are_fast() {
        let mut pace = CommitPace::default();
        assert!(pace.measures_next());
        noted(&mut pace, 4, 400, 120);
        assert_eq!((0..640).filter(|_| pace.measures_next()).count(), 10);
        noted(&mut pace, 16, 400, 2_000);
        assert_eq!((0..640).filter(|_| pace.measures_next()).count(), 640);
    }
}
