//! Gives a server back what it has lost.

use tidelog_core::ids::DeviceId;

use crate::port::Lane;
use crate::steps::outbox;
use crate::steps::step::{After, Cx, Step};
use crate::store::{Fault, Meta, Renumbering, Tx};

/// Sends again from a seq on: the server was restored from a backup, and lacks these ops.
pub(crate) struct Rewind {
    pub(crate) expected: i64,
    pub(crate) device: DeviceId,
}

impl Step for Rewind {
    fn run(&self, tx: &mut Tx, _: &Cx<'_>) -> Result<After, Fault> {
        tx.need(&[Meta::device().key(), Meta::acked().key(), Meta::renumbering().key()])?;
        let Some(device) = tx.meta(Meta::device())?.filter(|device| device.device == self.device) else {
            return Ok(After::Again(Lane::Up));
        };
        let acked = tx.meta(Meta::acked())?.unwrap_or_default();
        if outbox::put_back(tx, &device, acked, self.expected)? {
            return Ok(After::Again(Lane::Up));
        }
        // Ops are missing for ever, so the numbers cannot go on: the device becomes a new one.
        let renumbering = tx.meta(Meta::renumbering())?;
        if renumbering.is_none() {
            let through = Some(self.expected - 1);
            tx.set_meta(Meta::renumbering(), &Renumbering { through, ..Renumbering::default() });
        }
        Ok(After::GateDue)
    }
}
