//! How long to wait before a call is repeated: longer each time, never in step with others, not for ever.

use std::time::Duration;

use anyhow::{Context, Result};
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};

/// The first wait.
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// The longest wait, whatever the server asks for.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Attempts of one call: about a minute in all, enough for a server to start again.
const ATTEMPTS_MAX: u32 = 18;

/// The attempts of one call.
pub(crate) struct Backoff {
    attempts: u32,
    random: Option<StdRng>,
}

impl Backoff {
    /// Before the first attempt.
    pub(crate) fn new() -> Self {
        Self { attempts: 1, random: None }
    }

    /// How many attempts there were.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Waits before the next attempt; `false` if there is none. A server that asks for a longer wait gets it.
    pub(crate) async fn wait(&mut self, at_least: Option<Duration>) -> Result<bool> {
        if self.attempts >= ATTEMPTS_MAX {
            return Ok(false);
        }
        let longest = self.longest();
        let wait = self.random()?.random_range(longest / 2..=longest);
        tokio::time::sleep(wait.max(at_least.unwrap_or_default()).min(WAIT_MAX)).await;
        self.attempts += 1;
        Ok(true)
    }

    fn longest(&self) -> Duration {
        WAIT_FIRST.saturating_mul(2u32.saturating_pow(self.attempts - 1)).min(WAIT_MAX)
    }

    fn random(&mut self) -> Result<&mut StdRng> {
        let random = match self.random.take() {
            Some(random) => random,
            None => StdRng::try_from_rng(&mut SysRng).context("the system gives no random numbers")?,
        };
        Ok(self.random.insert(random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let longest = |attempts| Backoff { attempts, random: None }.longest().as_millis();
        assert_eq!([1, 2, 3, 6, 7, 17].map(longest), [100, 200, 400, 3_200, 5_000, 5_000]);
    }
}
