//! The honest device: it pushes an op now and then, and does nothing else.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use tidelog_core::wire::Encoding;

use crate::bench::environment::devices::Device;
use crate::bench::generator::payloads::OpTemplates;
use crate::bench::http::{self, Connection};
use crate::bench::measure::latency::Latencies;
use crate::output;

/// Pushes of the honest device in each part of a row.
pub(super) const PUSHES: u32 = 50;

/// The honest device.
pub(super) struct Honest {
    address: SocketAddr,
    device: Device,
    templates: OpTemplates,
    is_compressed: bool,
    connection: Connection,
    last_seq: u64,
}

/// What the honest device noticed.
pub(super) struct Noticed {
    latencies: Latencies,
    /// Pushes that got another status than 200, or no answer.
    pub(super) refused: u32,
}

impl Noticed {
    pub(super) fn p99_ms(&self) -> f64 {
        self.latencies.quantile_ms(0.99)
    }
}

impl Honest {
    /// Connects the device, and pushes a few ops that warm up the server.
    pub(super) fn connect(address: SocketAddr, device: Device, is_compressed: bool) -> Result<Self> {
        let templates = OpTemplates::new(Encoding::Json)?;
        let connection = Connection::open(address)?;
        let mut honest = Self { address, device, templates, is_compressed, connection, last_seq: 0 };
        for _ in 0..20 {
            honest.push_one()?;
        }
        Ok(honest)
    }

    /// Pushes [`PUSHES`] ops at these distances, on a thread of its own. A latency counts from the time at which the push
    /// was due.
    pub(super) async fn push(mut self, interval: Duration) -> Result<(Self, Noticed)> {
        let pushing = move || {
            let (begin, mut noticed) = (Instant::now(), Noticed { latencies: Latencies::new()?, refused: 0 });
            for number in 0..PUSHES {
                let due = begin + interval * number;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if let Err(error) = self.push_one() {
                    output::note(format_args!("  the honest device was refused: {error:#}"));
                    noticed.refused += 1;
                    self.connection = Connection::open(self.address)?;
                }
                noticed.latencies.record(due.elapsed());
            }
            Ok((self, noticed))
        };
        tokio::task::spawn_blocking(pushing).await?
    }

    fn push_one(&mut self) -> Result<()> {
        let seq = self.last_seq + 1;
        let body = self.templates.body(self.device.device, seq..seq + 1);
        let request = match self.is_compressed {
            false => http::post(PUSH, &self.device.token, "application/json", &body),
            true => zstd_post(PUSH, &self.device.token, &zstd::encode_all(&body[..], 1)?),
        };
        self.connection.exchange(&request)?;
        self.last_seq = seq;
        Ok(())
    }
}

/// The path of a push.
pub(super) const PUSH: &str = "/api/v1/sync/push";

/// A request with a body of JSON that zstd has compressed.
pub(super) fn zstd_post(path: &str, token: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: tidelog\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-encoding: zstd\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
