//! A connection of a rude client: requests are sent whatever became of the ones before, and a closed connection is opened
//! again at once.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::bench::http::{Framing, parse_head};

/// Longest wait for an answer. Then the client gives up and connects again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a connection could not be opened. Without it the client would do nothing but that.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// A connection that is opened when it is needed.
pub(super) struct RudeConnection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    received: Vec<u8>,
}

impl RudeConnection {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, received: Vec::new() }
    }

    /// Sends a request. Returns the status of the answer, or `None` if the connection ended without one.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Option<u16> {
        match timeout(ANSWER_TIMEOUT, self.try_exchange(request)).await {
            Ok(Ok(status)) => Some(status),
            Ok(Err(_)) | Err(_) => {
                self.stream = None;
                None
            }
        }
    }

    async fn try_exchange(&mut self, request: &[u8]) -> Result<u16> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            closed @ None => {
                let opened = TcpStream::connect(self.address).await;
                if opened.is_err() {
                    sleep(CONNECT_PAUSE).await;
                }
                closed.insert(opened?)
            }
        };
        self.received.clear();
        stream.write_all(request).await?;
        loop {
            if let Some(head) = parse_head(&self.received)? {
                let Framing::Length(length) = head.framing else { anyhow::bail!("an answer in chunks") };
                if self.received.len() >= head.bytes + length {
                    if ends_connection(&self.received[..head.bytes]) {
                        self.stream = None;
                    }
                    return Ok(head.status);
                }
            }
            let count = stream.read_buf(&mut self.received).await?;
            (count > 0).then_some(()).context("the server closed the connection")?;
        }
    }
}

/// Whether the server closes the connection after the answer with this head.
fn ends_connection(head: &[u8]) -> bool {
    String::from_utf8_lossy(head).to_ascii_lowercase().contains("\r\nconnection: close\r\n")
}
