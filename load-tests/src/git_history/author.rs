//! The devices of the authors. Each is registered at the first commit of its author.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use anyhow::Result;
use tidelog_core::ids::DeviceId;
use tidelog_core::limits::NAME_BYTES_MAX;

use super::text::{Text, truncate};
use crate::client::Client;

/// An author, and the device that pushes for it.
#[derive(Debug)]
pub(super) struct Author {
    /// The id of the device.
    pub(super) device: DeviceId,
    /// The bearer token of the device.
    pub(super) token: String,
    /// The name of the author as records have it.
    pub(super) name: Text,
    /// The last seq that the device has pushed.
    pub(super) last_seq: i64,
}

/// All authors so far, by the bytes of name and email, so that two whose shortened names are the same stay two authors.
#[derive(Debug, Default)]
pub(super) struct Authors(HashMap<Vec<u8>, Author>);

impl Authors {
    /// The author with these bytes, and whether its device was registered by this call.
    pub(super) async fn get_or_register(
        &mut self,
        client: &Client,
        key: &str,
        raw: &[u8],
    ) -> Result<(&mut Author, bool)> {
        match self.0.entry(raw.to_vec()) {
            Entry::Occupied(known) => Ok((known.into_mut(), false)),
            Entry::Vacant(vacant) => {
                let name = Text::of(raw);
                let device = client.register(key, truncate(&name.text, NAME_BYTES_MAX)).await?;
                let author = Author { device: device.device, token: device.token, name, last_seq: 0 };
                Ok((vacant.insert(author), true))
            }
        }
    }
}
