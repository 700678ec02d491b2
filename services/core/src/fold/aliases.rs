//! Which ops are of one device: a device also made the ops of the device that it replaces.

use std::collections::BTreeMap;

use crate::ids::{DeviceId, Seq};
use crate::log::device_change::Alias;

/// The earlier names of the devices of a log, as its `_devices` events give them.
///
/// ```
/// use tidelog_core::device_change::Alias;
/// use tidelog_core::fold::Aliases;
/// use tidelog_core::ids::{DeviceId, Seq};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = |number: u8| DeviceId::parse(&format!("00000000-0000-4000-8000-00000000000{number}"));
/// let [lost, tablet, clone] = [device(1)?, device(2)?, device(3)?];
/// let mut aliases = Aliases::default();
/// for replacement in [tablet, clone] {
///     aliases.insert(replacement, Alias { device: lost, through: Seq(40) });
/// }
/// assert!(aliases.is_same_device((tablet, Seq(1)), (lost, Seq(40))));
/// assert!(!aliases.is_same_device((tablet, Seq(1)), (lost, Seq(41))), "what the lost one pushes later is another's");
/// assert!(!aliases.is_same_device((tablet, Seq(1)), (clone, Seq(1))), "its twin is a stranger");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aliases(BTreeMap<DeviceId, Alias>);

impl Aliases {
    /// Gives a device an earlier name, in place of the one that it had before.
    pub fn insert(&mut self, device: DeviceId, alias: Alias) {
        self.0.insert(device, alias);
    }

    /// The devices with their earlier names, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (DeviceId, Alias)> {
        self.0.iter().map(|(device, alias)| (*device, *alias))
    }

    /// Whether two ops, each named by device and seq, are of one device. Ops of the system device are of a different one
    /// each.
    pub fn is_same_device(&self, one: (DeviceId, Seq), other: (DeviceId, Seq)) -> bool {
        if one.0.is_system() || other.0.is_system() {
            return false;
        }
        one.0 == other.0 || (!self.0.is_empty() && (self.covers(one.0, other) || self.covers(other.0, one)))
    }

    /// Whether a device made this op under an earlier name. The first bound that the chain of its names has for the
    /// device of the op decides.
    fn covers(&self, device: DeviceId, (of, seq): (DeviceId, Seq)) -> bool {
        let mut name = device;
        // A chain without a loop is no longer than this.
        for _ in 0..self.0.len() {
            let Some(alias) = self.0.get(&name) else { return false };
            if alias.device == of {
                return seq <= alias.through;
            }
            name = alias.device;
        }
        false
    }
}

impl FromIterator<(DeviceId, Alias)> for Aliases {
    fn from_iter<I: IntoIterator<Item = (DeviceId, Alias)>>(aliases: I) -> Self {
        Self(aliases.into_iter().collect())
    }
}
