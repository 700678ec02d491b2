//! The state of a world.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tidelog_core::ids::DeviceId;
use tidelog_core::time::UnixMs;
use tidelog_engine::{
    Batch, CallId, Config, Credential, Engine, HttpRequest, Input, Now, Read, RequestId, StepId, TimerId,
};

use crate::catalogs;
use crate::random::Random;
use crate::seal::toy_seal;
use crate::server::ModelServer;
use crate::world::options::{Mutant, Options};
use crate::world::store::SimStore;

/// A run that broke an invariant.
#[derive(Debug)]
pub struct Failure {
    /// The seed of the run.
    pub seed: u64,
    /// What broke, beginning with the name of the invariant.
    pub what: String,
    /// What happened before.
    pub script: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        let shown = self.script.len().saturating_sub(400);
        self.script[shown..].iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// A device: its store, and what its user knows.
pub(crate) struct Place {
    pub(crate) store: SimStore,
    /// The store before its newest commit.
    pub(crate) before: SimStore,
    pub(crate) key: String,
    pub(crate) installation: String,
    /// How far its clock is off, in milliseconds.
    pub(crate) skew_ms: i64,
    /// The record that this device alone writes, unless it was cloned.
    pub(crate) private: String,
    /// The newest value that is durable in the private record.
    pub(crate) private_value: i64,
    pub(crate) is_cloned: bool,
    pub(crate) is_full: bool,
}

/// A tab: an engine over the store of its place.
pub(crate) struct Tab {
    pub(crate) place: usize,
    pub(crate) engine: Engine,
    /// Grows with every crash: news for an earlier life does not arrive.
    pub(crate) life: u64,
    pub(crate) timers: BTreeMap<TimerId, u64>,
    pub(crate) frozen_until: u64,
    pub(crate) leads: bool,
    pub(crate) calls: BTreeMap<CallId, Asked>,
}

/// What a call was for.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Make {
        actors: Vec<String>,
        private_value: Option<i64>,
    },
    ViewPrivate {
        at_least: i64,
    },
    Conflicts,
    /// A reply that the calm waits for.
    Final,
    Other,
}

/// Something on its way.
pub(crate) enum Flying {
    Load { tab: usize, life: u64, id: StepId, reads: Vec<Read> },
    Commit { tab: usize, life: u64, id: StepId, batch: Batch },
    ToServer { tab: usize, life: u64, id: RequestId, request: HttpRequest },
    ToTab { tab: usize, life: u64, input: Input },
}

/// A pull that waits for events.
pub(crate) struct Parked {
    pub(crate) tab: usize,
    pub(crate) life: u64,
    pub(crate) id: RequestId,
    pub(crate) request: HttpRequest,
    pub(crate) until: u64,
}

/// The world of one run.
pub struct World {
    pub(crate) seed: u64,
    pub(crate) options: Options,
    pub(crate) dice: Random,
    pub(crate) now_ms: u64,
    pub(crate) server: ModelServer,
    pub(crate) places: Vec<Place>,
    pub(crate) tabs: Vec<Tab>,
    pub(crate) flying: Vec<Flying>,
    pub(crate) parked: Vec<Parked>,
    pub(crate) is_calm: bool,
    pub(crate) next_call: u64,
    pub(crate) next_actor: u64,
    /// The ops that the app was told are durable, each with its place.
    pub(crate) durable: BTreeMap<String, usize>,
    /// How far the device was when it made each op.
    pub(crate) knowledge: BTreeMap<String, i64>,
    /// The digest of each op that the server has stored.
    pub(crate) stored: BTreeMap<(DeviceId, i64), i64>,
    pub(crate) revoked: BTreeSet<DeviceId>,
    pub(crate) was_restored: bool,
    pub(crate) finals: BTreeMap<(usize, u64), tidelog_engine::Reply>,
    pub(crate) script: Vec<String>,
    /// The number of commands so far, and of the one at which its tab crashes.
    pub(crate) commands: u64,
    pub(crate) crash_at: Option<u64>,
    pub(crate) commands_to_quiet: u64,
    pub(crate) failure: Option<String>,
}

/// When the world begins, in milliseconds since 1970.
const START_MS: i64 = 1_800_000_000_000;

impl World {
    /// A world with a server and devices whose stores are empty.
    pub fn new(seed: u64, options: Options) -> Self {
        let mut server = ModelServer::new(catalogs::first(), UnixMs(START_MS));
        server.omits_events = options.has(Mutant::OmitsEvents);
        server.trusts_seqs = options.has(Mutant::TrustsSeqs);
        let mut world = Self {
            seed,
            dice: Random::new(seed),
            now_ms: 0,
            server,
            places: Vec::new(),
            tabs: Vec::new(),
            flying: Vec::new(),
            parked: Vec::new(),
            is_calm: false,
            next_call: 1,
            next_actor: 1,
            durable: BTreeMap::new(),
            knowledge: BTreeMap::new(),
            stored: BTreeMap::new(),
            revoked: BTreeSet::new(),
            was_restored: false,
            finals: BTreeMap::new(),
            script: Vec::new(),
            commands: 0,
            crash_at: None,
            commands_to_quiet: 0,
            failure: None,
            options,
        };
        for device in 0..world.options.devices {
            let key = if device % 3 == 0 { "tlk_manager" } else { "tlk_staff" };
            world.add_place(SimStore::default(), key.to_owned(), format!("installation-{device}"));
        }
        world
    }

    pub(crate) fn add_place(&mut self, store: SimStore, key: String, installation: String) {
        let place = self.places.len();
        self.places.push(Place {
            before: store.clone(),
            store,
            key,
            installation,
            skew_ms: 0,
            private: format!("private-{place}"),
            private_value: 0,
            is_cloned: false,
            is_full: false,
        });
        for tab in 0..self.options.tabs {
            let engine = self.new_engine(place);
            self.tabs.push(Tab {
                place,
                engine,
                life: 0,
                timers: BTreeMap::new(),
                frozen_until: 0,
                leads: tab == 0,
                calls: BTreeMap::new(),
            });
            let tab = self.tabs.len() - 1;
            self.start(tab);
        }
    }

    pub(crate) fn new_engine(&mut self, place: usize) -> Engine {
        let seal = self.options.seals.then(|| toy_seal(self.options.has(Mutant::SealsNothing)));
        let config = Config {
            installation: Some(self.places[place].installation.clone()),
            seal,
            push_ops_max: 1 + self.dice.below(60),
            page_max: 1 + self.dice.below(20),
            ..Config::default()
        };
        Engine::new(config, self.dice.bits())
    }

    /// Opens the store in a tab.
    pub(crate) fn start(&mut self, tab: usize) {
        self.input(tab, Input::Open);
        let leads = self.tabs[tab].leads;
        self.input(tab, Input::Lead(leads));
    }

    pub(crate) fn now_of(&self, tab: usize) -> Now {
        let skew_ms = self.places[self.tabs[tab].place].skew_ms;
        let wall = UnixMs(START_MS + self.now_ms as i64 + skew_ms);
        Now { wall, monotonic_ms: self.now_ms }
    }

    pub(crate) fn server_now(&mut self) {
        self.server.now = UnixMs(START_MS + self.now_ms as i64);
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        let line = line();
        self.script.push(format!("{:>8} {line}", self.now_ms));
    }

    pub(crate) fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    pub(crate) fn call_id(&mut self) -> CallId {
        self.next_call += 1;
        CallId(self.next_call)
    }

    pub(crate) fn actor(&mut self) -> String {
        self.next_actor += 1;
        format!("op-{}", self.next_actor)
    }

    /// The credential that the host of a tab gives.
    pub(crate) fn credential_for(&mut self, tab: usize, is_token: bool) -> Credential {
        let place = self.tabs[tab].place;
        let device = self.places[place].store.device().filter(|device| !self.revoked.contains(device));
        let token = device.filter(|_| is_token && self.dice.happens(700)).and_then(|it| self.server.replace_token(it));
        match token {
            Some(token) => Credential::Token(token),
            None => Credential::Register(self.places[place].key.clone()),
        }
    }
}
