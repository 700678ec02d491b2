//! The maps inside values: sorted by key in one piece of memory. A tree would take hundreds of bytes for a map that
//! came in three.

use crate::value::Value;

/// A map with string keys, sorted, so that equal maps have equal bytes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ValueMap(Box<[(String, Value)]>);

impl ValueMap {
    /// Sorts the entries; `None` if a key is there twice.
    pub fn of_entries(mut entries: Vec<(String, Value)>) -> Option<Self> {
        entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let is_double = entries.windows(2).any(|pair| pair[0].0 == pair[1].0);
        (!is_double).then(|| Self(entries.into_boxed_slice()))
    }

    /// The entries in order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&String, &Value)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let at = self.0.binary_search_by(|(known, _)| known.as_str().cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<const N: usize> From<[(String, Value); N]> for ValueMap {
    /// Of a key that is there twice the later entry stays.
    fn from(entries: [(String, Value); N]) -> Self {
        let entries: std::collections::BTreeMap<_, _> = entries.into();
        Self(entries.into_iter().collect())
    }
}

impl IntoIterator for ValueMap {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_vec().into_iter()
    }
}
