//! Who made an op: `_devices` events say which names a device had before, and which of its ops the server made for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidelog_core::device_change::DeviceChange;
use tidelog_core::event::Event;
use tidelog_core::ids::{DEVICES_TABLE, DeviceId, Seq};

use super::left_out::LeftOut;

/// The device that made an op, and its number of the op.
pub(super) type Maker = (DeviceId, Seq);

/// What the `_devices` events so far say.
#[derive(Default)]
pub(super) struct Makers {
    names: Arc<Names>,
    /// The makers of readmitted ops, by the seq of the system device.
    readmitted: BTreeMap<Seq, Maker>,
}

/// The names that devices had before.
#[derive(Clone, Default)]
pub(super) struct Names {
    /// The name that each device had before, and its last op under that name.
    before: BTreeMap<DeviceId, Maker>,
    is_without_chains: bool,
}

impl Makers {
    /// Takes the next event, if it says something of a device.
    ///
    /// # Panics
    ///
    /// If the event cannot be read.
    pub(super) fn take(&mut self, event: &Event, without: Option<LeftOut>) {
        if event.table.as_str() != DEVICES_TABLE {
            return;
        }
        let change = DeviceChange::from_event(event).expect("a _devices event says something of a device");
        if let Some(alias) = change.replaces.filter(|_| without != Some(LeftOut::EarlierNames)) {
            let names = Arc::make_mut(&mut self.names);
            let is_endless = without == Some(LeftOut::LastSeqOfAName);
            names.before.insert(change.device, (alias.device, if is_endless { Seq(i64::MAX) } else { alias.through }));
            names.is_without_chains = without == Some(LeftOut::ChainsOfNames);
        }
        if let Some(readmitted) = change.readmitted.filter(|_| without != Some(LeftOut::Readmitted)) {
            self.readmitted.insert(readmitted.seq, (change.device, readmitted.of));
        }
    }

    /// The maker of an event that comes now.
    pub(super) fn maker_of(&self, event: &Event) -> Maker {
        let own = (event.device, event.seq);
        if event.device.is_system() { self.readmitted.get(&event.seq).copied().unwrap_or(own) } else { own }
    }

    /// The names that devices have had so far.
    pub(super) fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names)
    }
}

impl Names {
    /// Whether two ops are of one device. Ops of the server are of nobody.
    pub(super) fn are_of_one(&self, one: Maker, other: Maker) -> bool {
        let is_ones = !one.0.is_system() && !other.0.is_system();
        is_ones && (one.0 == other.0 || self.covers(one.0, other) || self.covers(other.0, one))
    }

    /// Whether a device made an op, under its own name or under an earlier one.
    ///
    /// The names are followed back to the first one that is the op's. A loop of names ends where it began.
    fn covers(&self, device: DeviceId, (maker, seq): Maker) -> bool {
        let (mut name, mut seen) = (device, BTreeSet::new());
        while name != maker {
            let Some((earlier, through)) = self.before.get(&name).filter(|_| seen.insert(name)) else { return false };
            if *earlier == maker {
                return seq <= *through;
            }
            if self.is_without_chains {
                return false;
            }
            name = *earlier;
        }
        true
    }
}
