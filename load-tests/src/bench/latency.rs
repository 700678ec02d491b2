//! Latencies at a given load. Send times stand in a schedule beforehand, and a latency counts from its time in the
//! schedule, also where the answer before it was late: nothing is left out because the server was slow (no coordinated
//! omission).

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

/// Longest latency that is told from longer ones.
const LATENCY_US_MAX: u64 = 60_000_000;
/// Significant digits.
const DIGITS: u8 = 3;

/// The send times of one client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    first: Instant,
    every: Duration,
    /// What is due before does not count.
    counted_from: Instant,
    end: Instant,
}

impl Schedule {
    /// The schedule of client `index` of `clients`, who together send `per_second` times a second: evenly, each as far
    /// from the next as from the one before. Counts for `length` after `warmup`.
    pub(crate) fn new(
        begin: Instant,
        (index, clients): (usize, usize),
        per_second: f64,
        (warmup, length): (Duration, Duration),
    ) -> Self {
        let every = Duration::from_secs_f64(clients as f64 / per_second.max(0.001));
        let first = begin + every.mul_f64(index as f64 / clients.max(1) as f64);
        let counted_from = begin + warmup;
        Self { first, every, counted_from, end: counted_from + length }
    }

    /// Whether what was due then counts.
    pub(crate) fn counts(&self, due: Instant) -> bool {
        due >= self.counted_from
    }

    /// When send number `number` is due; `None` after the end.
    pub(crate) fn due(&self, number: u32) -> Option<Instant> {
        let due = self.first + self.every.checked_mul(number)?;
        (due < self.end).then_some(due)
    }
}

/// The latencies of some clients.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS)?))
    }

    /// Adds one.
    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency in milliseconds that this share (0 to 1) stays at or below.
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
