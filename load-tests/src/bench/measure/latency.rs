//! Latencies at a given load, without coordinated omission.
//!
//! The send times are scheduled beforehand, and a latency counts from the scheduled time even if the send was delayed by a
//! late response to the one before. So a slow server cannot hide latencies by slowing the clients.

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

/// The longest latency that is recorded exactly. Longer ones are recorded as this one.
const LATENCY_US_MAX: u64 = 60_000_000;
/// Precision of the recorded latencies.
const SIGNIFICANT_DIGITS: u8 = 3;

/// The send times of one client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    first: Instant,
    interval: Duration,
    /// Sends that are due earlier do not count.
    counted_from: Instant,
    end: Instant,
}

impl Schedule {
    /// The schedule of client `index` of `clients`, which together send `per_second` times a second, all at equal
    /// distances. Sends count for `length` after `warmup`.
    pub(crate) fn new(
        begin: Instant,
        (index, clients): (usize, usize),
        per_second: f64,
        (warmup, length): (Duration, Duration),
    ) -> Self {
        let interval = Duration::from_secs_f64(clients as f64 / per_second.max(0.001));
        let first = begin + interval.mul_f64(index as f64 / clients.max(1) as f64);
        let counted_from = begin + warmup;
        Self { first, interval, counted_from, end: counted_from + length }
    }

    /// Whether a send that was due then counts.
    pub(crate) fn counts(&self, due: Instant) -> bool {
        due >= self.counted_from
    }

    /// When send number `number` is due; `None` after the end.
    pub(crate) fn due(&self, number: u32) -> Option<Instant> {
        let due = self.first + self.interval.checked_mul(number)?;
        (due < self.end).then_some(due)
    }
}

/// A histogram of latencies.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// No latencies yet.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LATENCY_US_MAX, SIGNIFICANT_DIGITS)?))
    }

    /// Adds a latency.
    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// The number of recorded latencies.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// A quantile in milliseconds: this share (0 to 1) of all latencies is at or below it.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn clients_share_the_rate_and_take_turns() {
        let begin = Instant::now();
        let schedule = |index| Schedule::new(begin, (index, 4), 8.0, (SECOND, SECOND));
        let due_ms = |index, number| schedule(index).due(number).map(|due| (due - begin).as_millis());
        assert_eq!([0, 1, 2, 3].map(|index| due_ms(index, 0)), [0, 125, 250, 375].map(Some));
        assert_eq!(due_ms(1, 1), Some(625));
        assert_eq!(due_ms(1, 3), Some(1_625));
        assert_eq!(due_ms(1, 4), None, "2,125 ms is after the end");
    }

    #[test]
    fn quantiles_are_of_all_that_was_recorded() {
        let mut latencies = Latencies::new().unwrap();
        (1..=100).for_each(|ms| latencies.record(Duration::from_millis(ms)));
        assert_eq!(latencies.count(), 100);
        assert!((latencies.quantile_ms(0.5) - 50.0).abs() < 0.1);
        assert!((latencies.quantile_ms(0.99) - 99.0).abs() < 0.1);
    }
}
