//! Authors as devices, each registered at its first commit.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use anyhow::Result;
use tidelog_core::ids::DeviceId;
use tidelog_core::limits::NAME_BYTES_MAX;

use super::text::{Text, cut};
use crate::client::Client;

/// An author's device.
#[derive(Debug)]
pub(super) struct Author {
    /// Its id.
    pub(super) device: DeviceId,
    /// Its token.
    pub(super) token: String,
    /// The author as the records name it.
    pub(super) name: Text,
    /// The last seq it has pushed.
    pub(super) last_seq: i64,
}

/// Every author so far, by the raw bytes of name and email: two that look the same when cut stay two.
#[derive(Debug, Default)]
pub(super) struct Authors(HashMap<Vec<u8>, Author>);

impl Authors {
    /// The author's device, and whether it was registered just now.
    pub(super) async fn get(&mut self, client: &Client, key: &str, raw: &[u8]) -> Result<(&mut Author, bool)> {
        match self.0.entry(raw.to_vec()) {
            Entry::Occupied(known) => Ok((known.into_mut(), false)),
            Entry::Vacant(vacant) => {
                let name = Text::of(raw);
                let device = client.register(key, cut(&name.text, NAME_BYTES_MAX)).await?;
                let author = Author { device: device.device, token: device.token, name, last_seq: 0 };
                Ok((vacant.insert(author), true))
            }
        }
    }
}
