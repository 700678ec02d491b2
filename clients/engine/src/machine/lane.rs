//! A lane: what of the engine talks to the server, one request at a time.

use crate::machine::random::Random;
use crate::port::RequestId;

/// The failed attempts after which a person is told.
const ALERT_ATTEMPTS: u32 = 5;
/// The longest pause, in milliseconds.
const PAUSE_MS_MAX: u64 = 60_000;

/// What a lane is doing.
#[derive(Debug, Default)]
pub(super) struct LaneState {
    /// Whether there may be something to do.
    pub(super) is_due: bool,
    /// Whether a step of the lane is queued or runs.
    pub(super) has_step: bool,
    /// The request under way.
    pub(super) request: Option<RequestId>,
    /// When the next attempt is, by the monotonic clock.
    pub(super) waits_until: Option<u64>,
    /// The attempts that have failed since the last success.
    pub(super) attempts: u32,
}

/// A pause before the next attempt.
pub(super) struct Pause {
    pub(super) after_ms: u64,
    /// Whether a person has to be told now.
    pub(super) is_alarming: bool,
}

impl LaneState {
    pub(super) fn is_busy(&self) -> bool {
        self.has_step || self.request.is_some()
    }

    /// Whether the lane is to take its next step.
    pub(super) fn may_step(&self) -> bool {
        self.is_due && !self.is_busy() && self.waits_until.is_none()
    }

    pub(super) fn succeed(&mut self) {
        self.attempts = 0;
    }

    /// Counts a failed attempt: `min(60, 2^(n-1))` seconds, between half of it and all, never less than the server asks.
    pub(super) fn fail(&mut self, random: &mut Random, now_ms: u64, at_least_ms: u64) -> Pause {
        self.attempts = self.attempts.saturating_add(1);
        let full = 1_000_u64.checked_shl(self.attempts - 1).unwrap_or(PAUSE_MS_MAX).min(PAUSE_MS_MAX);
        let after_ms = (full / 2 + random.next() % (full / 2 + 1)).max(at_least_ms);
        self.is_due = true;
        self.waits_until = Some(now_ms + after_ms);
        Pause { after_ms, is_alarming: self.attempts == ALERT_ATTEMPTS }
    }

    /// Pulls the next attempt forward, and counts on from where it was.
    pub(super) fn wake(&mut self) {
        self.is_due = true;
        self.waits_until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_a_wake_does_not_count_from_the_start() {
        let (mut lane, mut random) = (LaneState::default(), Random::new(7));
        for full in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = lane.fail(&mut random, 0, 0);
            assert!((full * 500..=full * 1_000).contains(&pause.after_ms), "{full}: {}", pause.after_ms);
            assert_eq!(pause.is_alarming, lane.attempts == 5);
            lane.wake();
        }
        assert_eq!(lane.fail(&mut random, 0, 90_000).after_ms, 90_000, "never less than the server asks");
        lane.attempts = u32::MAX - 1;
        assert!(lane.fail(&mut random, 0, 0).after_ms <= 60_000);
    }
}
