//! Health during an attack: it is asked again and again, as a load balancer does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinHandle;

use crate::bench::http::{self, Connection};
use crate::output;

/// Time between two questions.
const INTERVAL: Duration = Duration::from_millis(500);

/// Health is being asked.
pub(super) struct Probing {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<Result<Health>>,
}

/// How health answered.
pub(super) struct Health {
    /// The slowest answer, with the time to connect.
    pub(super) slowest_ms: f64,
    /// Answers other than 200: a load balancer would take the server out.
    pub(super) unready: u32,
}

/// Asks `/health/ready` on a new connection each time.
pub(super) fn probe(address: SocketAddr) -> Probing {
    let stopped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopped);
    let thread = tokio::task::spawn_blocking(move || {
        let (mut slowest, mut unready) = (Duration::ZERO, 0);
        while !flag.load(Ordering::Relaxed) {
            let asked = Instant::now();
            let mut connection = Connection::open(address)?;
            if let Err(error) = connection.exchange(&http::get("/health/ready", "", "application/json")) {
                output::note(format_args!("  health: {error:#}"));
                unready += 1;
            }
            slowest = slowest.max(asked.elapsed());
            std::thread::sleep(INTERVAL);
        }
        Ok(Health { slowest_ms: slowest.as_secs_f64() * 1_000.0, unready })
    });
    Probing { stopped, thread }
}

impl Probing {
    pub(super) async fn stop(self) -> Result<Health> {
        self.stopped.store(true, Ordering::Relaxed);
        self.thread.await?
    }
}
