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

    /// When send number `number` is due; `None` after the end.
    fn due(&self, number: u32) -> Option<Instant> {
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

    /// Adds another client's.
    pub(crate) fn add(&mut self, other: &Self) -> Result<()> {
        self.0.add(&other.0)?;
        Ok(())
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

/// Sends on schedule, on a thread of its own: an async runtime's clock has a grain of a millisecond.
pub(crate) fn send_on_schedule(schedule: Schedule, mut send: impl FnMut() -> Result<()>) -> Result<Latencies> {
    let mut latencies = Latencies::new()?;
    for number in 0.. {
        let Some(due) = schedule.due(number) else { break };
        let early = due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            std::thread::sleep(early);
        }
        send()?;
        if due >= schedule.counted_from {
            latencies.record(due.elapsed());
        }
    }
    Ok(latencies)
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
    fn a_late_answer_counts_for_all_that_had_to_wait_for_it() {
        // Due at 0, 10, 20, ... ms; the first answer takes 55 ms, the others nothing.
        let begin = Instant::now();
        let schedule = Schedule::new(begin, (0, 1), 100.0, (Duration::ZERO, Duration::from_millis(100)));
        let mut sent = 0;
        let latencies = send_on_schedule(schedule, || {
            if sent == 0 {
                let until = begin + Duration::from_millis(55);
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
            }
            sent += 1;
            Ok(())
        });
        let latencies = latencies.unwrap();
        assert_eq!(latencies.count(), 10);
        // The first at least 55, then at least 45, 35, 25, 15, 5: six of ten waited.
        assert!(latencies.quantile_ms(0.95) >= 54.9);
        assert!(latencies.quantile_ms(0.55) >= 14.9);
    }

    #[test]
    fn quantiles_are_of_all_clients() {
        let (mut all, mut other) = (Latencies::new().unwrap(), Latencies::new().unwrap());
        (1..=50).for_each(|ms| all.record(Duration::from_millis(ms)));
        (51..=100).for_each(|ms| other.record(Duration::from_millis(ms)));
        all.add(&other).unwrap();
        assert_eq!(all.count(), 100);
        assert!((all.quantile_ms(0.5) - 50.0).abs() < 0.1);
        assert!((all.quantile_ms(0.99) - 99.0).abs() < 0.1);
    }
}
