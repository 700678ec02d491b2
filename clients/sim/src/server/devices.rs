//! Devices of the model.

use serde::Deserialize;
use tidelog_core::device_change::{Alias, DeviceChange};
use tidelog_core::ids::{DeviceId, Position, Seq, WorkspaceId};
use tidelog_core::wire::{DeviceView, RegisterResponse, TokenResponse};
use tidelog_engine::HttpResult;
use uuid::Uuid;

use crate::server::http::{Refusal, ok};
use crate::server::log::{DeviceState, ModelServer};

#[derive(Deserialize)]
struct RegisterBody {
    name: String,
    nonce: String,
    #[serde(default)]
    replaces: Option<DeviceId>,
    #[serde(default)]
    replaces_through: Option<i64>,
}

impl ModelServer {
    /// Registers a device. The same key and nonce give the same device, with a new token.
    pub(crate) fn register(&mut self, key: &str, body: &[u8]) -> Result<HttpResult, Refusal> {
        let (role, scopes) = self.keys.get(key).cloned().ok_or_else(|| Refusal::new(401, "token_invalid"))?;
        let body: RegisterBody = rmp_serde::from_slice(body).map_err(|_| Refusal::new(422, "shape_invalid"))?;
        let next = DeviceId(Uuid::from_u128(0x1000_0000_4000_8000_0000_0000_0000 + self.devices.len() as u128 + 1));
        let device = *self.nonces.entry((key.to_owned(), body.nonce)).or_insert(next);
        let token = self.new_token();
        let replaced = body.replaces.filter(|_| !self.devices.contains_key(&device));
        if let Some(replaced) = replaced {
            self.note_replacement(device, replaced, body.replaces_through);
        }
        let state = self.devices.entry(device).or_insert_with(|| DeviceState {
            role: role.clone(),
            scopes: scopes.clone(),
            tokens: Vec::new(),
            last_seq: 0,
            is_revoked: false,
        });
        state.tokens = vec![token.clone()];
        Ok(ok(&RegisterResponse {
            device,
            workspace: WorkspaceId(Uuid::from_u128(1)),
            name: body.name,
            role,
            scopes,
            token,
            last_seq: 0,
        }))
    }

    fn note_replacement(&mut self, device: DeviceId, replaced: DeviceId, through: Option<i64>) {
        let last_seq = self.devices.get(&replaced).map_or(0, |state| state.last_seq);
        let alias = Alias { device: replaced, through: Seq(through.unwrap_or(last_seq)) };
        let change = DeviceChange { replaces: Some(alias), ..DeviceChange::of(device) };
        if let Ok(op) = change.to_op() {
            self.append_catalog();
            self.append_system(op);
        }
    }

    fn new_token(&mut self) -> String {
        self.next_token += 1;
        format!("tld_{}", self.next_token)
    }

    pub(crate) fn authenticate(&self, token: &str) -> Result<DeviceId, Refusal> {
        let found = self.devices.iter().find(|(_, state)| state.tokens.iter().any(|known| known == token));
        let (id, state) = found.ok_or_else(|| Refusal::new(401, "token_invalid"))?;
        if state.is_revoked { Err(Refusal::new(401, "device_revoked")) } else { Ok(*id) }
    }

    /// A new token beside the old one.
    pub(crate) fn rotate(&mut self, device: DeviceId) -> HttpResult {
        let token = self.new_token();
        if let Some(state) = self.devices.get_mut(&device) {
            state.tokens.push(token.clone());
        }
        ok(&TokenResponse { token, previous_until: self.now })
    }

    /// Makes every token of a device unknown. Returns a new one.
    pub(crate) fn replace_token(&mut self, device: DeviceId) -> Option<String> {
        let token = self.new_token();
        self.devices.get_mut(&device)?.tokens = vec![token.clone()];
        Some(token)
    }

    /// Revokes a device.
    pub(crate) fn revoke(&mut self, device: DeviceId) {
        if let Some(state) = self.devices.get_mut(&device) {
            state.is_revoked = true;
        }
    }

    pub(crate) fn device_view(&self, device: DeviceId) -> Result<DeviceView, Refusal> {
        let state = self.devices.get(&device).ok_or_else(|| Refusal::new(404, "not_found"))?;
        Ok(DeviceView {
            device,
            name: "device".to_owned(),
            platform: None,
            app: None,
            role: state.role.clone(),
            scopes: state.scopes.clone(),
            registered_at: self.now,
            last_seen_at: None,
            last_seq: state.last_seq,
            behind: 0,
            revoked: state.is_revoked,
            replaces: None,
            acknowledged: Position::START,
        })
    }
}
