//! What a run is to be like.

/// A fault of the machinery that a check has to find: each is a negative control of an invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The store reports commits of ops that it has not done.
    ForgetsCommits,
    /// The bytes of ops change after they were stored.
    RewritesOps,
    /// The store drops an op from the outbox beside another write.
    DropsOutboxRows,
    /// The host forgets timers and requests.
    ForgetsTimers,
    /// The server leaves events out of pages.
    OmitsEvents,
    /// Bases are raised on their way.
    RaisesBases,
    /// Unsent ops do not lie on their records.
    HidesOverlay,
    /// The store writes batches whose guards have failed.
    IgnoresGuards,
    /// The server takes another op under a stored seq for a duplicate.
    TrustsSeqs,
    /// Nothing is kept of the ops that were sent.
    ForgetsSent,
    /// A crash takes the newest commit with it.
    LosesLastCommit,
    /// Tables that are dropped keep their records.
    KeepsDropped,
    /// Fields are not encrypted.
    SealsNothing,
}

/// What a run is to be like.
#[derive(Debug, Clone)]
pub struct Options {
    /// The number of devices at the start.
    pub devices: usize,
    /// The number of tabs of each device.
    pub tabs: usize,
    /// The number of turns before the calm.
    pub turns: usize,
    /// The chance of a fault of the network, per request and direction, in a thousand.
    pub network_faults: u64,
    /// The chance that a turn is a fault of the world, in a thousand.
    pub world_faults: u64,
    /// Whether stores are copied.
    pub clones: bool,
    /// Whether the server is restored from a backup.
    pub restores: bool,
    /// Whether catalogs change and logs are folded again.
    pub catalogs: bool,
    /// Whether devices lose their tokens and are revoked.
    pub revokes: bool,
    /// Whether fields are sealed.
    pub seals: bool,
    /// The fault of the machinery.
    pub mutant: Option<Mutant>,
}

impl Options {
    /// Everything at once but copies of stores.
    pub fn all(seed: u64) -> Self {
        Self {
            devices: 2 + (seed % 3) as usize,
            tabs: 1 + (seed / 3 % 2) as usize,
            turns: if seed.is_multiple_of(10) { 1_500 } else { 400 },
            network_faults: 60,
            world_faults: 60,
            clones: false,
            restores: seed.is_multiple_of(3),
            catalogs: seed.is_multiple_of(2),
            revokes: seed % 3 == 1,
            seals: seed.is_multiple_of(5),
            mutant: None,
        }
    }

    /// Everything at once, where stores are copied. Devices keep their tokens: a twin without one cannot tell which of the
    /// ops under the old name are its own.
    pub fn with_clones(seed: u64) -> Self {
        Self { clones: true, revokes: false, ..Self::all(seed) }
    }

    pub(crate) fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}
