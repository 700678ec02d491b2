//! A connection that pushes for one device or for several in turns.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use anyhow::{Result, ensure};
use serde::Deserialize;
use tidelog_core::wire::Encoding;

use crate::bench::environment::devices::Device;
use crate::bench::generator::payloads::OpTemplates;
use crate::bench::http::{self, Connection};

/// One response in this many is decoded and checked; of the others only the status. The generator would otherwise take
/// more of the machine.
const CHECK_INTERVAL: usize = 64;

/// Where pushes go and what they hold.
#[derive(Clone)]
pub(crate) struct PushSettings {
    /// The server's address.
    pub(crate) address: SocketAddr,
    /// Ops of a push.
    pub(crate) batch: u64,
    /// The encoding of requests and responses.
    pub(crate) encoding: Encoding,
    /// The ops.
    pub(crate) templates: Arc<OpTemplates>,
}

impl PushSettings {
    /// Batches of new records in MessagePack.
    pub(crate) fn msgpack(address: SocketAddr, batch: u64) -> Result<Self> {
        let encoding = Encoding::MessagePack;
        Ok(Self { address, batch, encoding, templates: Arc::new(OpTemplates::new(encoding)?) })
    }
}

/// A device, and how far it has pushed.
#[derive(Debug, Clone)]
pub(crate) struct PushingDevice {
    /// The device.
    pub(crate) device: Device,
    /// The seq of its last op that the server has stored.
    pub(crate) last_seq: u64,
}

/// A connection, and the devices that push on it in turns, one push each. Mostly it is one device.
pub(crate) struct Pusher {
    settings: PushSettings,
    connection: Connection,
    devices: Vec<DeviceState>,
    /// Requests that were encoded before the clock started.
    encoded_requests: VecDeque<Vec<u8>>,
    /// How many requests were encoded, sent or not.
    encoded: usize,
    /// How many pushes were acknowledged.
    acknowledged: usize,
}

struct DeviceState {
    device: Device,
    /// The last seq that is in an encoded request.
    encoded_seq: u64,
    /// The last seq that was acknowledged.
    acknowledged_seq: u64,
}

/// The fields of a push's response that are checked.
#[derive(Deserialize)]
struct CheckedResponse {
    last_seq: u64,
    rejected: Vec<serde::de::IgnoredAny>,
    duplicates: u64,
}

impl Pusher {
    /// Connects, and encodes requests for the next `ops` ops beforehand.
    pub(super) fn connect(settings: PushSettings, devices: Vec<PushingDevice>, ops: u64) -> Result<Self> {
        let connection = Connection::open(settings.address)?;
        let state = |PushingDevice { device, last_seq }| DeviceState {
            device,
            encoded_seq: last_seq,
            acknowledged_seq: last_seq,
        };
        let devices: Vec<DeviceState> = devices.into_iter().map(state).collect();
        ensure!(!devices.is_empty(), "a connection needs a device that pushes on it");
        let requests = VecDeque::new();
        let mut pusher =
            Self { settings, connection, devices, encoded_requests: requests, encoded: 0, acknowledged: 0 };
        for _ in 0..ops / pusher.settings.batch {
            let request = pusher.encode_next();
            pusher.encoded_requests.push_back(request);
        }
        Ok(pusher)
    }

    /// Ops of a push.
    pub(super) fn batch_ops(&self) -> u64 {
        self.settings.batch
    }

    /// The socket, to be polled for the response.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }

    /// Sends the next batch.
    pub(super) fn send(&mut self) -> Result<()> {
        let request = self.encoded_requests.pop_front().unwrap_or_else(|| self.encode_next());
        self.connection.send(&request)
    }

    /// Receives the acknowledgement of the batch that was sent last.
    pub(super) fn receive(&mut self) -> Result<()> {
        let response = self.connection.receive()?;
        let turn = self.acknowledged % self.devices.len();
        let state = &mut self.devices[turn];
        state.acknowledged_seq += self.settings.batch;
        if self.acknowledged.is_multiple_of(CHECK_INTERVAL) {
            let checked: CheckedResponse = match self.settings.encoding {
                Encoding::Json => serde_json::from_slice(response)?,
                Encoding::MessagePack => rmp_serde::from_slice(response)?,
            };
            let expected = state.acknowledged_seq;
            ensure!(
                checked.last_seq == expected,
                "the response says last_seq {}, expected {expected}",
                checked.last_seq
            );
            ensure!(checked.rejected.is_empty(), "the server rejected {} ops", checked.rejected.len());
            ensure!(checked.duplicates == 0, "{} ops were stored before", checked.duplicates);
        }
        self.acknowledged += 1;
        Ok(())
    }

    /// Encodes the next request: the next batch of the device whose turn it is.
    fn encode_next(&mut self) -> Vec<u8> {
        let turn = self.encoded % self.devices.len();
        self.encoded += 1;
        let state = &mut self.devices[turn];
        let seqs = state.encoded_seq + 1..state.encoded_seq + 1 + self.settings.batch;
        state.encoded_seq += self.settings.batch;
        let body = self.settings.templates.body(state.device.device, seqs);
        http::post("/api/v1/sync/push", &state.device.token, self.settings.templates.media_type(), &body)
    }
}
