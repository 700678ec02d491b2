//! The counts of a replay, for its report.

/// Limit of the examples that are kept of one kind of occurrence.
const EXAMPLES_MAX: usize = 3;

/// The counts of a replay.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Commits read.
    pub(crate) commits: u64,
    /// Authors, each a device.
    pub(crate) devices: u64,
    /// Pushes stored.
    pub(crate) batches: u64,
    /// Size of the bodies of these pushes.
    pub(crate) bytes: u64,
    /// Paths added or changed.
    pub(crate) puts: u64,
    /// Paths removed.
    pub(crate) deletes: u64,
    /// Ops that were stored already when their push was repeated.
    pub(crate) duplicates: u64,
    /// Commits too large for one push.
    pub(crate) split: Occurrences,
    /// Commits that changed no path.
    pub(crate) empty: Occurrences,
    /// Ops on paths that cannot be record ids.
    pub(crate) escaped: Occurrences,
    /// Authors and subjects that were truncated or were not UTF-8.
    pub(crate) changed_texts: Occurrences,
}

impl Tally {
    /// Ops pushed.
    pub(crate) fn ops(&self) -> u64 {
        self.puts + self.deletes
    }
}

/// How often something unusual occurred, with the first different examples.
#[derive(Debug, Default)]
pub(crate) struct Occurrences {
    count: u64,
    examples: Vec<String>,
}

impl Occurrences {
    /// Counts an occurrence.
    pub(crate) fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            let example = example();
            if !self.examples.contains(&example) {
                self.examples.push(example);
            }
        }
    }

    /// The number of occurrences.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The examples on one line.
    pub(crate) fn examples(&self) -> String {
        let examples = self.examples.join(", ");
        if self.count > EXAMPLES_MAX as u64 { format!("{examples}, ...") } else { examples }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_are_counted_and_the_first_different_examples_are_kept() {
        let mut occurrences = Occurrences::default();
        for example in ["a", "a", "b", "c", "d"] {
            occurrences.add(|| example.to_owned());
        }
        assert_eq!((occurrences.count(), occurrences.examples().as_str()), (5, "a, b, c, ..."));
    }
}
