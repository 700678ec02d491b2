//! Several measurements of the same figure, as median and range.

use anyhow::{Context, Result};

/// The median and range of a figure over some rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// The median. Of an even number of values it is the mean of the two in the middle.
    pub(crate) median: f64,
    /// The smallest value.
    pub(crate) min: f64,
    /// The largest value.
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of some values. `None` if there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
        Some(Self { median, min, max })
    }

    /// The spread of one value for each round. Fails if there was no round.
    pub(crate) fn of_rounds(values: impl IntoIterator<Item = f64>) -> Result<Self> {
        Self::of(values).context("nothing was measured")
    }

    /// The spread of a single value.
    pub(crate) fn one(value: f64) -> Self {
        Self { median: value, min: value, max: value }
    }
}

/// The spread of the ratios of each round's value to the baseline of the same round: whatever slowed a round slowed both.
pub(crate) fn ratios(values: &[f64], baselines: &[f64]) -> Option<Spread> {
    let pairs = values.iter().zip(baselines).filter(|(_, baseline)| **baseline > 0.0);
    Spread::of(pairs.map(|(value, baseline)| value / baseline))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_ratio_is_of_values_of_one_round() {
        let ratio = ratios(&[10.0, 50.0, 30.0], &[20.0, 100.0, 40.0]);
        assert_eq!(ratio, Some(Spread { median: 0.5, min: 0.5, max: 0.75 }));
        assert_eq!(ratios(&[1.0], &[0.0]), None);
    }
}
