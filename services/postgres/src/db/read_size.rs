//! How many rows the next read asks for, by what the rows before it weighed.

/// The bounds of a sequence of reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadSizeLimits {
    /// Bytes that each read is meant to bring.
    pub(crate) bytes: usize,
    /// Rows of the first read, before the weight of any row is known.
    pub(crate) rows_first: usize,
    /// Fewest rows of a read, however heavy they are.
    pub(crate) rows_min: usize,
    /// Most rows of a read, however light they are.
    pub(crate) rows_max: usize,
}

/// The size of the next read in a sequence of reads. It aims at the same bytes for each, so that light rows take few
/// round trips and heavy rows little memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadSize {
    limits: ReadSizeLimits,
    rows: usize,
    row_bytes: usize,
}

impl ReadSize {
    /// The size of the first read.
    pub(crate) fn first(limits: ReadSizeLimits) -> Self {
        Self { limits, rows: limits.rows_first, row_bytes: 0 }
    }

    /// Rows of the next read.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that one row is expected to weigh; 0 before the first read.
    pub(crate) fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Bytes that a row of the next read may weigh for all of its rows to fit: at least what one is expected to.
    pub(crate) fn row_bytes_max(&self) -> usize {
        (self.limits.bytes / self.rows).max(self.row_bytes)
    }

    /// Sizes the next read for rows of the same weight as these, whose bytes together are given.
    pub(crate) fn resize(&mut self, rows: usize, bytes: usize) {
        self.row_bytes = bytes.div_ceil(rows.max(1)).max(1);
        self.rows = (self.limits.bytes / self.row_bytes).clamp(self.limits.rows_min, self.limits.rows_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ReadSizeLimits = ReadSizeLimits { bytes: 1_000_000, rows_first: 100, rows_min: 16, rows_max: 8_000 };

    #[test]
    fn reads_aim_at_the_same_bytes_within_their_bounds() {
        let mut size = ReadSize::first(LIMITS);
        assert_eq!((size.rows(), size.row_bytes(), size.row_bytes_max()), (100, 0, 10_000));
        size.resize(100, 99_999);
        assert_eq!((size.rows(), size.row_bytes()), (1_000, 1_000), "the weight of a row is rounded up");
        size.resize(1_000, 1_000);
        assert_eq!(size.rows(), 8_000);
        size.resize(1, 5_000_000);
        assert_eq!((size.rows(), size.row_bytes_max()), (16, 5_000_000), "one row heavier than a whole read is read");
        size.resize(0, 0);
        assert_eq!(size.rows(), 8_000, "rows that nobody has seen are expected to be light");
    }
}
