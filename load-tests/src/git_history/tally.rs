//! What a replay did, for its report.

/// Examples kept of anything.
const EXAMPLES_MAX: usize = 3;

/// Counts of a replay.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Commits read.
    pub(crate) commits: u64,
    /// Authors, each a device.
    pub(crate) devices: u64,
    /// Pushes stored.
    pub(crate) batches: u64,
    /// Bytes of those pushes.
    pub(crate) bytes: u64,
    /// Paths added or changed.
    pub(crate) puts: u64,
    /// Paths removed.
    pub(crate) deletes: u64,
    /// Ops that a repeated push found stored already.
    pub(crate) duplicates: u64,
    /// Commits too large for one push.
    pub(crate) split: Told,
    /// Commits that changed no path.
    pub(crate) empty: Told,
    /// Paths that are no record id, once for each op.
    pub(crate) escaped: Told,
    /// Authors and subjects that were cut or were not UTF-8.
    pub(crate) texts: Told,
}

impl Tally {
    /// Ops stored.
    pub(crate) fn ops(&self) -> u64 {
        self.puts + self.deletes
    }
}

/// Something out of the ordinary: how often, and the first different examples.
#[derive(Debug, Default)]
pub(crate) struct Told {
    count: u64,
    examples: Vec<String>,
}

impl Told {
    /// Counts one more.
    pub(crate) fn note(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            let example = example();
            if !self.examples.contains(&example) {
                self.examples.push(example);
            }
        }
    }

    /// How often.
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
    fn everything_is_counted_and_the_first_different_examples_are_kept() {
        let mut told = Told::default();
        for example in ["a", "a", "b", "c", "d"] {
            told.note(|| example.to_owned());
        }
        assert_eq!((told.count(), told.examples().as_str()), (5, "a, b, c, ..."));
    }
}
