//! Rules of the embedding program's own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::catalog::{Catalog, Rule};
use crate::fold::record::Writer;
use crate::value::Value;

/// One of two writes that a resolver decides between.
#[derive(Debug, Clone, Copy)]
pub struct Contender<'a> {
    /// Where, by whom, in what role and when it was written.
    pub writer: &'a Writer,
    /// The value; none of a delete.
    pub value: Option<&'a Value>,
}

/// What a resolver says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The op is the writer from now on.
    OpWins,
    /// What is stored stays.
    StoredStays,
    /// What is stored stays, and a person must choose.
    PersonChooses,
}

/// A rule `custom` of the embedding program.
///
/// The contract: the same contenders get the same decision on every replica, in every version and for ever. So it reads
/// nothing but them: no clock, no randomness, no setting, no database.
pub trait Resolver: Send + Sync {
    /// Decides between an op and what it found stored, which it did not know of.
    fn resolve(&self, op: Contender<'_>, stored: Contender<'_>) -> Decision;
}

impl<F: Fn(Contender<'_>, Contender<'_>) -> Decision + Send + Sync> Resolver for F {
    fn resolve(&self, op: Contender<'_>, stored: Contender<'_>) -> Decision {
        self(op, stored)
    }
}

/// The resolvers that a program has, by the names its catalogs know them under.
#[derive(Clone, Default)]
pub struct Resolvers(BTreeMap<String, Arc<dyn Resolver>>);

impl Resolvers {
    /// None: catalogs with `custom` rules are refused.
    pub fn none() -> Self {
        Self::default()
    }

    /// With one more.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, resolver: impl Resolver + 'static) -> Self {
        self.0.insert(name.into(), Arc::new(resolver));
        self
    }

    /// The resolver of this name.
    pub fn get(&self, name: &str) -> Option<&dyn Resolver> {
        self.0.get(name).map(|resolver| &**resolver)
    }

    /// The first `custom` rule of a catalog that these resolvers cannot decide, as a sentence.
    ///
    /// A catalog that has one is refused when it is applied: a rule that is silently decided by another would lose edits
    /// that its author thought safe.
    pub fn missing_for(&self, catalog: &Catalog) -> Option<String> {
        catalog.tables.iter().find_map(|(name, table)| {
            let missing = table.rules().find_map(|rule| match rule {
                Rule::Custom { name } if self.get(name).is_none() => Some(name),
                _ => None,
            })?;
            Some(format!("tables.{name}: this program has no resolver named {missing:?} for rule \"custom\""))
        })
    }
}

impl fmt::Debug for Resolvers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
