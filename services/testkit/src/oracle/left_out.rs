//! Negative controls: an oracle that leaves out one of the rules.

/// A rule that an oracle leaves out, so that it is wrong. A comparison with it has to fail; otherwise the logs do not reach
/// the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// The ops that a device made under an earlier name are its own.
    EarlierNames,
    /// Earlier names are followed through a chain.
    ChainsOfNames,
    /// An earlier name counts up to a seq.
    LastSeqOfAName,
    /// A readmitted op is of the device that made it.
    Readmitted,
    /// A put is judged by every delete that it does not know of, and not by the newest alone.
    OlderDeletes,
    /// The deletes that a put knew of hold, if it undoes others.
    KnownDeletes,
    /// A delete stands for an earlier one of the same device and role.
    DeletesOfOneDevice,
    /// A put loses if it may not have known of a delete that is forgotten.
    ForgottenDeletes,
    /// A resolver is told a delete from a field that is not given.
    DeletesForResolvers,
    /// A resolve by a delete of a settled conflict makes no conflict where the record is deleted already.
    DeletedAlready,
    /// A field's rule takes clock and roles of its table's rule.
    TablesClockAndRoles,
    /// Under granularity `record` the winner is the writer of the value beside it.
    WriterBesideItsValue,
    /// A resolve of a settled conflict, and a put beyond a limit, have no winner where nothing stood.
    NobodyWhereNothingStood,
    /// A value that cannot be merged loses by `last_write_wins`.
    NameOfTheLastWrite,
    /// The first contribution to a union drops duplicates.
    Duplicates,
    /// A put without fields that loses to a delete under `manual` is a conflict.
    PutsWithoutFields,
    /// Contributions by the server count each.
    ContributionsOfTheServer,
}

impl LeftOut {
    /// Every rule that can be left out and that logs of a few events reach.
    pub const ALL: [Self; 16] = [
        Self::EarlierNames,
        Self::ChainsOfNames,
        Self::LastSeqOfAName,
        Self::Readmitted,
        Self::OlderDeletes,
        Self::KnownDeletes,
        Self::DeletesOfOneDevice,
        Self::DeletesForResolvers,
        Self::DeletedAlready,
        Self::TablesClockAndRoles,
        Self::WriterBesideItsValue,
        Self::NobodyWhereNothingStood,
        Self::NameOfTheLastWrite,
        Self::Duplicates,
        Self::PutsWithoutFields,
        Self::ContributionsOfTheServer,
    ];
}
