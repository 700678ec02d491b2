//! The loads of the push scenarios: how many devices push what.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use tidelog_core::wire::Encoding;

use crate::bench::environment::devices::Device;
use crate::bench::environment::{Environment, MeasuredServer};
use crate::bench::generator::payloads::OpTemplates;
use crate::bench::generator::push::PushSettings;

/// 16 devices in 16 workspaces, batches of 100.
pub(crate) const PUSH_100: PushLoad = PushLoad { devices: 16, one_workspace: false, batch: 100, json: false };
pub(super) const PUSH_100_ONE: PushLoad = PushLoad { one_workspace: true, ..PUSH_100 };
pub(super) const PUSH_100_JSON: PushLoad = PushLoad { json: true, ..PUSH_100 };
pub(super) const PUSH_1: PushLoad = PushLoad { batch: 1, ..PUSH_100 };
pub(super) const PUSH_1_ONE: PushLoad = PushLoad { devices: 64, one_workspace: true, batch: 1, json: false };
pub(super) const PUSH_1_64: PushLoad = PushLoad { one_workspace: false, ..PUSH_1_ONE };

/// Devices that push batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PushLoad {
    /// The number of devices.
    pub(crate) devices: usize,
    /// Whether all of them are in one workspace. Otherwise each is in its own.
    pub(crate) one_workspace: bool,
    /// Ops of a push.
    pub(crate) batch: u64,
    /// Whether bodies are JSON. Otherwise they are MessagePack.
    pub(crate) json: bool,
}

impl PushLoad {
    /// The devices that push.
    pub(crate) fn devices(self, environment: &Environment) -> &[Device] {
        environment.devices.first(self.devices, self.one_workspace)
    }

    /// Where they push to and what.
    pub(crate) fn settings(self, server: &MeasuredServer) -> Result<PushSettings> {
        let encoding = if self.json { Encoding::Json } else { Encoding::MessagePack };
        let templates = Arc::new(OpTemplates::new(encoding)?);
        Ok(PushSettings { address: server.address, batch: self.batch, encoding, templates })
    }
}

/// The name of the scenario, as in docs/PERFORMANCE.md.
impl fmt::Display for PushLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { devices, one_workspace, batch, json } = *self;
        let workspaces = if one_workspace { "ONE workspace".to_owned() } else { format!("{devices} workspaces") };
        let format = if json { " in JSON" } else { "" };
        write!(f, "push{format}, {devices} devices in {workspaces}, batches of {batch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_named_as_in_the_documentation() {
        assert_eq!(PUSH_100.to_string(), "push, 16 devices in 16 workspaces, batches of 100");
        assert_eq!(PUSH_100_JSON.to_string(), "push in JSON, 16 devices in 16 workspaces, batches of 100");
        assert_eq!(PUSH_1_ONE.to_string(), "push, 64 devices in ONE workspace, batches of 1");
    }
}
