//! Exponential backoff with jitter between the attempts of a call.

use std::time::Duration;

use anyhow::{Context, Result};
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};

/// The upper bound of the first wait. It doubles with each attempt.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait, even if the server asks for more.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Limit of the attempts of one call. They take about a minute in all, enough for a server to restart.
const ATTEMPTS_MAX: u32 = 18;

/// The attempts of one call.
pub(crate) struct Backoff {
    attempts: u32,
    random: Option<StdRng>,
}

impl Backoff {
    /// The state at the first attempt.
    pub(crate) fn new() -> Self {
        Self { attempts: 1, random: None }
    }

    /// The number of the current attempt, from 1.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Waits until the next attempt, at least as long as the server asks for. Returns `false` if there is no next attempt.
    pub(crate) async fn wait(&mut self, at_least: Option<Duration>) -> Result<bool> {
        if self.attempts >= ATTEMPTS_MAX {
            return Ok(false);
        }
        let wait_max = self.wait_max();
        let wait = self.random()?.random_range(wait_max / 2..=wait_max);
        tokio::time::sleep(wait.max(at_least.unwrap_or_default()).min(WAIT_MAX)).await;
        self.attempts += 1;
        Ok(true)
    }

    /// The upper bound of the next wait.
    fn wait_max(&self) -> Duration {
        FIRST_WAIT.saturating_mul(2u32.saturating_pow(self.attempts - 1)).min(WAIT_MAX)
    }

    fn random(&mut self) -> Result<&mut StdRng> {
        let random = match self.random.take() {
            Some(random) => random,
            None => StdRng::try_from_rng(&mut SysRng).context("the system provides no random numbers")?,
        };
        Ok(self.random.insert(random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let wait_max_ms = |attempts| Backoff { attempts, random: None }.wait_max().as_millis();
        assert_eq!([1, 2, 3, 6, 7, 17].map(wait_max_ms), [100, 200, 400, 3_200, 5_000, 5_000]);
    }
}
