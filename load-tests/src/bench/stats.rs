//! Several measurements of the same figure as one.

/// A figure over some rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
}

impl Spread {
    /// Of some values; `None` of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
        Some(Self { median, min, max })
    }

    /// One value.
    pub(crate) fn one(value: f64) -> Self {
        Self { median: value, min: value, max: value }
    }
}

/// The ratio round by round: what slowed a whole round down slowed both of its sides.
pub(crate) fn ratios(values: &[f64], limits: &[f64]) -> Option<Spread> {
    Spread::of(values.iter().zip(limits).filter(|(_, limit)| **limit > 0.0).map(|(value, limit)| value / limit))
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
