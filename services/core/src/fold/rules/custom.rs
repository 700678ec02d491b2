//! `custom` rules: conflict rules that the embedding program implements.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::catalog::{Catalog, Rule};
use crate::fold::conflicts::Content;
use crate::fold::record::Writer;
use crate::value::Value;

/// One of the two writes that a resolver decides between.
#[derive(Debug, Clone, Copy)]
pub struct Contender<'a> {
    /// The event that made the write: its position, device, role and effective time.
    pub writer: &'a Writer,
    /// What the write wants for the field in question. A put does not give the field if it is judged against a delete,
    /// or if it does not set this field under granularity `record`.
    pub content: Content<&'a Value>,
}

impl<'a> Contender<'a> {
    /// The value that the write gives the field; `None` if it deletes the record or does not give the field.
    pub fn value(&self) -> Option<&'a Value> {
        match self.content {
            Content::Value(value) => Some(value),
            Content::Deleted | Content::NotGiven => None,
        }
    }
}

/// The decision between an op and the stored write that it did not know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The op wins and becomes the writer.
    OpWins,
    /// The stored write stays.
    StoredStays,
    /// The stored write stays for now, and a person must choose.
    PersonChooses,
}

/// A conflict rule of the embedding program, for fields and tables with `rule = "custom"`.
///
/// Contract: the same two contenders get the same decision on every replica, in every version of the program, always.
/// So a resolver reads nothing but the contenders: no clock, no randomness, no settings, no database.
///
/// Closures with this signature are resolvers. This one lets the longer text win, and asks a person if both texts have
/// the same length:
///
/// ```
/// use std::cmp::Ordering;
///
/// use tidelog_core::catalog::Catalog;
/// use tidelog_core::fold::{Contender, Decision, Folder, Resolvers};
/// use tidelog_core::value::Value;
///
/// fn bytes(contender: Contender<'_>) -> usize {
///     match contender.value() {
///         Some(Value::Text(text)) => text.len(),
///         _ => 0,
///     }
/// }
///
/// let longest = |op: Contender<'_>, stored: Contender<'_>| match bytes(op).cmp(&bytes(stored)) {
///     Ordering::Greater => Decision::OpWins,
///     Ordering::Equal => Decision::PersonChooses,
///     Ordering::Less => Decision::StoredStays,
/// };
/// let resolvers = Resolvers::none().with("longest", longest);
///
/// let catalog = "roles = [\"staff\"]\n[tables.notes]\nrule = \"custom\"\nname = \"longest\"";
/// let catalog = Catalog::parse(catalog)?;
/// assert_eq!(resolvers.missing_for(&catalog), None);
/// let folder = Folder::with_resolvers(resolvers);
/// # Ok::<(), tidelog_core::catalog::CatalogError>(())
/// ```
pub trait Resolver: Send + Sync {
    /// Decides between an op and the stored write that the op did not know of.
    fn resolve(&self, op: Contender<'_>, stored: Contender<'_>) -> Decision;
}

impl<F: Fn(Contender<'_>, Contender<'_>) -> Decision + Send + Sync> Resolver for F {
    fn resolve(&self, op: Contender<'_>, stored: Contender<'_>) -> Decision {
        self(op, stored)
    }
}

/// The resolvers of a program, by the names that its catalogs use for them.
///
/// ```
/// use tidelog_core::catalog::Catalog;
/// use tidelog_core::fold::Resolvers;
///
/// let catalog = Catalog::parse("roles = [\"staff\"]\n[tables.notes]\nrule = \"custom\"\nname = \"longest\"")?;
/// assert_eq!(
///     Resolvers::none().missing_for(&catalog).as_deref(),
///     Some("tables.notes: this program has no resolver named \"longest\" for rule \"custom\"")
/// );
/// # Ok::<(), tidelog_core::catalog::CatalogError>(())
/// ```
#[derive(Clone, Default)]
pub struct Resolvers(BTreeMap<String, Arc<dyn Resolver>>);

impl Resolvers {
    /// No resolvers: catalogs with `custom` rules are refused.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a resolver. A resolver of the same name is replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, resolver: impl Resolver + 'static) -> Self {
        self.0.insert(name.into(), Arc::new(resolver));
        self
    }

    /// The resolver with this name, if there is one.
    pub fn get(&self, name: &str) -> Option<&dyn Resolver> {
        self.0.get(name).map(|resolver| &**resolver)
    }

    /// Names the first `custom` rule of a catalog that has no resolver here, in a sentence for people. `None` if every
    /// rule has its resolver.
    ///
    /// A server refuses such a catalog when it is applied. If another rule silently took the place of the missing one,
    /// it would lose edits that the author of the catalog considers safe.
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
