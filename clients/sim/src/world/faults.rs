//! Faults of the world, and the mutants that show that the checks find them.

use bytes::Bytes;
use tidelog_core::wire::{Encoding, PushRequest};
use tidelog_engine::{Batch, HttpRequest, Input, StoreName, Wake, Write};

use crate::catalogs;
use crate::world::options::Mutant;
use crate::world::state::{Flying, World};

impl World {
    pub(crate) fn world_fault(&mut self) {
        let tab = self.dice.below(self.tabs.len());
        match self.dice.below(12) {
            0 | 1 => self.crash(tab),
            2 => {
                self.tabs[tab].frozen_until = self.now_ms + self.dice.bits() % 60_000;
                self.note(|| format!("tab {tab} freezes"));
            }
            3 => {
                // Two leaders at once, or none.
                let leads = self.dice.happens(600);
                self.tabs[tab].leads = leads;
                self.note(|| format!("tab {tab} leads: {leads}"));
                self.input(tab, Input::Lead(leads));
            }
            4 => {
                let place = self.tabs[tab].place;
                self.places[place].skew_ms = self.dice.bits() as i64 % 86_400_000;
                self.note(|| format!("the clock of place {place} jumps"));
            }
            5 => {
                let place = self.tabs[tab].place;
                let is_full = !self.places[place].is_full && self.dice.happens(500);
                self.places[place].is_full = is_full;
                self.note(|| format!("the store of place {place} is full: {is_full}"));
                if !is_full {
                    self.input(tab, Input::Wake(Wake::StoreMended));
                }
            }
            6 if self.options.clones && self.places.len() < self.options.devices + 2 => self.clone_place(tab),
            7 if self.options.restores && !self.was_restored => self.restore_server(),
            8 if self.options.catalogs => {
                let (number, refold) = (self.dice.below(3), self.dice.happens(400));
                self.note(|| format!("catalog {number} is in force, refold: {refold}"));
                self.server.change_catalog(catalogs::numbered(number), refold);
            }
            9 if self.options.revokes => {
                let device = self.places[self.tabs[tab].place].store.device();
                if let Some(device) = device {
                    self.note(|| format!("the token of {device} is gone"));
                    self.server.replace_token(device);
                }
            }
            10 if self.options.revokes && self.revoked.is_empty() => {
                if let Some(device) = self.places[self.tabs[tab].place].store.device() {
                    self.note(|| format!("{device} is revoked"));
                    self.revoked.insert(device);
                    self.server.revoke(device);
                }
            }
            _ => self.server.project(usize::MAX / 2),
        }
    }

    /// Kills a tab and starts it again. Requests that it has sent may still arrive.
    pub(crate) fn crash(&mut self, tab: usize) {
        self.note(|| format!("tab {tab} crashes"));
        let place = self.tabs[tab].place;
        if self.options.has(Mutant::LosesLastCommit) {
            self.places[place].store = self.places[place].before.clone();
        }
        let engine = self.new_engine(place);
        let state = &mut self.tabs[tab];
        (state.engine, state.life) = (engine, state.life + 1);
        state.timers.clear();
        state.calls.clear();
        state.frozen_until = 0;
        self.parked.retain(|parked| parked.tab != tab);
        self.start(tab);
    }

    /// Copies a store to another installation, or with its mark, as a copy of a disk does.
    fn clone_place(&mut self, tab: usize) {
        let place = self.tabs[tab].place;
        let number = self.places.len();
        // Copies that are made before or during a registration have nothing by which the server could tell them apart.
        if self.places[place].store.device().is_none() || self.places[place].store.is_registering() {
            return;
        }
        let installation = match self.dice.happens(500) {
            true => self.places[place].installation.clone(),
            false => format!("installation-{number}"),
        };
        self.note(|| format!("place {place} is cloned as place {number} with {installation}"));
        self.places[place].is_cloned = true;
        let (store, key) = (self.places[place].store.clone(), self.places[place].key.clone());
        self.add_place(store, key, installation);
        self.places[number].is_cloned = true;
    }

    fn restore_server(&mut self) {
        let head = self.server.log().len();
        if head < 10 {
            return;
        }
        // At a boundary of batches, as a backup has it.
        let mut to = head - self.dice.below(head / 2) - 1;
        while to > 0 && self.server.log()[to].batch == self.server.log()[to - 1].batch {
            to -= 1;
        }
        self.note(|| format!("the server is restored from {head} to {to}"));
        self.was_restored = true;
        self.server.restore(to);
        self.stored.clear();
        if self.options.has(Mutant::ForgetsSent) {
            for place in &mut self.places {
                place.store.rows.retain(|key, _| key.store != StoreName::Sent);
            }
        }
    }

    /// A batch as a faulty store writes it.
    pub(crate) fn mutated(&mut self, mut batch: Batch) -> Batch {
        if self.options.has(Mutant::KeepsDropped) {
            batch.writes.retain(|write| !matches!(write, Write::DeleteUnder(StoreName::Records, _)));
        }
        if self.options.has(Mutant::DropsOutboxRows) && self.dice.happens(50) {
            let puts = batch.writes.iter().find_map(|write| match write {
                Write::Put(key, _) if key.store == StoreName::Outbox => Some(key.clone()),
                _ => None,
            });
            batch.writes.extend(puts.map(Write::Delete));
        }
        batch
    }

    /// A request as a faulty host sends it.
    pub(crate) fn mutated_request(&mut self, request: &HttpRequest) -> HttpRequest {
        let raises = self.options.has(Mutant::RaisesBases);
        let rewrites = self.options.has(Mutant::RewritesOps) && self.dice.happens(300);
        let body = request.body.clone().filter(|_| (raises || rewrites) && request.path.ends_with("/sync/push"));
        let Some(mut push) = body.and_then(|body| PushRequest::read(Encoding::MessagePack, &body).ok()) else {
            return request.clone();
        };
        for op in &mut push.ops {
            if raises {
                op.base = Some(push.cursor.map_or(self.server.head(), |cursor| cursor.position));
            }
            if rewrites {
                op.at = op.at.map(|at| tidelog_core::time::UnixMs(at.0 + 1));
            }
        }
        let body: Bytes = rmp_serde::to_vec_named(&push).unwrap_or_default().into();
        HttpRequest { body: Some(body), ..request.clone() }
    }

    /// Nothing fails from here on.
    pub(crate) fn end_faults(&mut self) {
        self.is_calm = true;
        self.note(|| "calm".to_owned());
        for place in &mut self.places {
            (place.is_full, place.skew_ms) = (false, 0);
        }
        for tab in 0..self.tabs.len() {
            self.tabs[tab].frozen_until = 0;
            let place = self.tabs[tab].place;
            let is_first = self.tabs.iter().position(|other| other.place == place) == Some(tab);
            self.tabs[tab].leads = is_first;
            self.input(tab, Input::Lead(is_first));
            self.input(tab, Input::Wake(Wake::StoreMended));
            self.input(tab, Input::Wake(Wake::Sync));
            let life = self.tabs[tab].life;
            let device = self.places[place].store.device();
            if device.is_some_and(|device| self.revoked.contains(&device)) {
                let credential = self.credential_for(tab, false);
                self.flying.push(Flying::ToTab { tab, life, input: Input::Credential(Some(credential)) });
            }
        }
    }
}
