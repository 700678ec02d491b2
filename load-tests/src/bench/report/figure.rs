//! A figure: a measured value with its unit, its baseline and its target.

use std::fmt;

use serde::Serialize;

use super::number::number;
use crate::bench::measure::spread::Spread;

/// The target of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// The ratio to the baseline is to be at least this.
    RatioAtLeast(f64),
    /// The ratio to the baseline is to be at most this.
    RatioAtMost(f64),
    /// The value is to be at least this.
    AtLeast(f64),
    /// The value is to be at most this.
    AtMost(f64),
}

/// A measured figure.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) value: Spread,
    pub(super) baseline: Option<Spread>,
    pub(super) ratio: Option<Spread>,
    pub(super) target: Option<Target>,
}

/// A figure in `bench.json`.
#[derive(Serialize)]
pub(super) struct FigureJson<'a> {
    name: &'a str,
    value: f64,
    value_range: [f64; 2],
    unit: &'a str,
    baseline: Option<f64>,
    baseline_range: Option<[f64; 2]>,
    ratio: Option<f64>,
    ratio_range: Option<[f64; 2]>,
    target: Option<f64>,
    target_is: Option<&'static str>,
    met: Option<bool>,
}

impl Figure {
    /// A figure without baseline and target.
    pub(crate) fn new(name: impl Into<String>, value: Spread, unit: &'static str) -> Self {
        Self { name: name.into(), unit, value, baseline: None, ratio: None, target: None }
    }

    /// Adds the baseline. Without a `ratio` of the rounds the figure gets the ratio of the medians.
    pub(crate) fn beside(mut self, baseline: Spread, ratio: Option<Spread>) -> Self {
        let of_medians = || (baseline.median > 0.0).then(|| Spread::one(self.value.median / baseline.median));
        let ratio = ratio.or_else(of_medians);
        (self.baseline, self.ratio) = (Some(baseline), ratio);
        self
    }

    /// Adds the target.
    pub(crate) fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// Sets the target of a figure that was chosen among several.
    pub(crate) fn set_target(&mut self, target: Target) {
        self.target = Some(target);
    }

    /// The ratio to the baseline. 0 without a baseline.
    pub(crate) fn ratio(&self) -> f64 {
        self.ratio.map_or(0.0, |ratio| ratio.median)
    }

    /// Whether the target is met. `None` without a target, or without the ratio that the target is for.
    pub(crate) fn is_met(&self) -> Option<bool> {
        Some(match self.target? {
            Target::RatioAtLeast(least) => self.ratio?.median >= least,
            Target::RatioAtMost(most) => self.ratio?.median <= most,
            Target::AtLeast(least) => self.value.median >= least,
            Target::AtMost(most) => self.value.median <= most,
        })
    }

    /// The figure as it is written to `bench.json`.
    pub(super) fn to_json(&self) -> FigureJson<'_> {
        let range = |spread: Spread| [spread.min, spread.max];
        FigureJson {
            name: &self.name,
            value: self.value.median,
            value_range: range(self.value),
            unit: self.unit,
            baseline: self.baseline.map(|baseline| baseline.median),
            baseline_range: self.baseline.map(range),
            ratio: self.ratio.map(|ratio| ratio.median),
            ratio_range: self.ratio.map(range),
            target: self.target.map(Target::limit),
            target_is: self.target.map(Target::kind),
            met: self.is_met(),
        }
    }
}

impl Target {
    fn limit(self) -> f64 {
        match self {
            Self::RatioAtLeast(limit) | Self::RatioAtMost(limit) | Self::AtLeast(limit) | Self::AtMost(limit) => limit,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::RatioAtLeast(_) => "ratio_at_least",
            Self::RatioAtMost(_) => "ratio_at_most",
            Self::AtLeast(_) => "at_least",
            Self::AtMost(_) => "at_most",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RatioAtLeast(ratio) => write!(f, "ratio >= {ratio:.2}"),
            Self::RatioAtMost(ratio) => write!(f, "ratio <= {ratio:.2}"),
            Self::AtLeast(value) => write!(f, ">= {}", number(*value)),
            Self::AtMost(value) => write!(f, "<= {}", number(*value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_of_the_ratio_or_of_the_value() {
        let figure = Figure::new("push", Spread::one(60.0), "ops/s").beside(Spread::one(100.0), None);
        let is_met = |target| figure.clone().target(target).is_met();
        assert_eq!(is_met(Target::RatioAtLeast(0.6)), Some(true));
        assert_eq!(is_met(Target::RatioAtLeast(0.61)), Some(false));
        assert_eq!(is_met(Target::RatioAtMost(0.5)), Some(false));
        assert_eq!(is_met(Target::AtLeast(60.0)), Some(true));
        assert_eq!(is_met(Target::AtMost(59.0)), Some(false));
        assert_eq!(figure.is_met(), None);
    }

    #[test]
    fn a_figure_is_written_with_the_members_that_programs_read() {
        let figure = Figure::new("push", Spread { median: 60.0, min: 50.0, max: 70.0 }, "ops/s")
            .beside(Spread::one(100.0), None)
            .target(Target::RatioAtLeast(0.5));
        let written = serde_json::to_value(figure.to_json()).unwrap();
        let expected = serde_json::json!({
            "name": "push", "value": 60.0, "value_range": [50.0, 70.0], "unit": "ops/s", "baseline": 100.0,
            "baseline_range": [100.0, 100.0], "ratio": 0.6, "ratio_range": [0.6, 0.6], "target": 0.5,
            "target_is": "ratio_at_least", "met": true,
        });
        assert_eq!(written, expected);
    }
}
