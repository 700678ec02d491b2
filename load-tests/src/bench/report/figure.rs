//! A figure, and what it should be.

use serde::Serialize;

use super::number;
use crate::bench::stats::Spread;

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "target_is", content = "target", rename_all = "snake_case")]
pub(crate) enum Target {
    /// Its ratio to the limit, at least.
    RatioAtLeast(f64),
    /// Its ratio to the limit, at most.
    RatioAtMost(f64),
    /// Its value, at least.
    AtLeast(f64),
    /// Its value, at most.
    AtMost(f64),
}

/// A measured figure.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) value: Spread,
    pub(super) limit: Option<Spread>,
    pub(super) ratio: Option<Spread>,
    pub(super) target: Option<Target>,
}

/// A figure as it is written.
#[derive(Serialize)]
pub(super) struct Written<'a> {
    name: &'a str,
    value: f64,
    value_range: [f64; 2],
    unit: &'a str,
    limit: Option<f64>,
    limit_range: Option<[f64; 2]>,
    ratio: Option<f64>,
    ratio_range: Option<[f64; 2]>,
    target: Option<f64>,
    target_is: Option<&'static str>,
    met: Option<bool>,
}

impl Figure {
    /// A value.
    pub(crate) fn new(name: impl Into<String>, value: Spread, unit: &'static str) -> Self {
        Self { name: name.into(), unit, value, limit: None, ratio: None, target: None }
    }

    /// Beside its limit.
    pub(crate) fn beside(mut self, limit: Spread, ratio: Option<Spread>) -> Self {
        let ratio = ratio.or_else(|| (limit.median > 0.0).then(|| Spread::one(self.value.median / limit.median)));
        (self.limit, self.ratio) = (Some(limit), ratio);
        self
    }

    /// With what it should be.
    pub(crate) fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// The same, for a figure that is one of several which the target may hold for.
    pub(crate) fn set_target(&mut self, target: Target) {
        self.target = Some(target);
    }

    /// Its ratio to its limit; 0 without a limit.
    pub(crate) fn ratio(&self) -> f64 {
        self.ratio.map_or(0.0, |ratio| ratio.median)
    }

    /// Whether it is what it should be.
    pub(crate) fn met(&self) -> Option<bool> {
        Some(match self.target? {
            Target::RatioAtLeast(least) => self.ratio?.median >= least,
            Target::RatioAtMost(most) => self.ratio?.median <= most,
            Target::AtLeast(least) => self.value.median >= least,
            Target::AtMost(most) => self.value.median <= most,
        })
    }

    /// As it is written.
    pub(super) fn written(&self) -> Written<'_> {
        let range = |spread: Spread| [spread.min, spread.max];
        Written {
            name: &self.name,
            value: self.value.median,
            value_range: range(self.value),
            unit: self.unit,
            limit: self.limit.map(|limit| limit.median),
            limit_range: self.limit.map(range),
            ratio: self.ratio.map(|ratio| ratio.median),
            ratio_range: self.ratio.map(range),
            target: self.target.map(Target::number),
            target_is: self.target.map(Target::kind),
            met: self.met(),
        }
    }
}

impl Target {
    fn number(self) -> f64 {
        match self {
            Self::RatioAtLeast(number) | Self::RatioAtMost(number) | Self::AtLeast(number) | Self::AtMost(number) => {
                number
            }
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

    /// For people.
    pub(super) fn text(self) -> String {
        match self {
            Self::RatioAtLeast(ratio) => format!(">= {ratio:.2} of it"),
            Self::RatioAtMost(ratio) => format!("<= {ratio:.2} of it"),
            Self::AtLeast(value) => format!(">= {}", number(value)),
            Self::AtMost(value) => format!("<= {}", number(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_of_the_ratio_or_of_the_value() {
        let figure = Figure::new("push", Spread::one(60.0), "ops/s").beside(Spread::one(100.0), None);
        let met = |target| figure.clone().target(target).met();
        assert_eq!(met(Target::RatioAtLeast(0.6)), Some(true));
        assert_eq!(met(Target::RatioAtLeast(0.61)), Some(false));
        assert_eq!(met(Target::RatioAtMost(0.5)), Some(false));
        assert_eq!(met(Target::AtLeast(60.0)), Some(true));
        assert_eq!(met(Target::AtMost(59.0)), Some(false));
        assert_eq!(figure.met(), None);
    }

    #[test]
    fn a_figure_is_written_with_the_members_that_programs_read() {
        let figure = Figure::new("push", Spread { median: 60.0, min: 50.0, max: 70.0 }, "ops/s")
            .beside(Spread::one(100.0), None)
            .target(Target::RatioAtLeast(0.5));
        let written = serde_json::to_value(figure.written()).unwrap();
        let expected = serde_json::json!({
            "name": "push", "value": 60.0, "value_range": [50.0, 70.0], "unit": "ops/s", "limit": 100.0,
            "limit_range": [100.0, 100.0], "ratio": 0.6, "ratio_range": [0.6, 0.6], "target": 0.5,
            "target_is": "ratio_at_least", "met": true,
        });
        assert_eq!(written, expected);
    }
}
