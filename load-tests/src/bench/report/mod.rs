//! The figures, as a table for people, a list for programs and a chart.

mod chart;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::{Cell, CellAlignment, Table};
use serde::Serialize;

use super::stats::Spread;
use crate::output;

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
    name: String,
    unit: &'static str,
    value: Spread,
    limit: Option<Spread>,
    ratio: Option<Spread>,
    target: Option<Target>,
}

/// A figure as it is written.
#[derive(Serialize)]
struct Written<'a> {
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

/// All figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
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

    fn written(&self) -> Written<'_> {
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

    fn text(self) -> String {
        match self {
            Self::RatioAtLeast(ratio) => format!(">= {ratio:.2} of it"),
            Self::RatioAtMost(ratio) => format!("<= {ratio:.2} of it"),
            Self::AtLeast(value) => format!(">= {}", number(value)),
            Self::AtMost(value) => format!("<= {}", number(value)),
        }
    }
}

impl Report {
    /// Adds a figure, and tells it at once.
    pub(crate) fn add(&mut self, figure: Figure) {
        let met = match figure.met() {
            Some(true) => ", met",
            Some(false) => ", NOT met",
            None => "",
        };
        let ratio = figure.ratio.map(|ratio| format!(", {:.2} of {}", ratio.median, number_of(figure.limit)));
        let (value, ratio) = (number(figure.value.median), ratio.unwrap_or_default());
        output::note(format_args!("  {}: {value} {}{ratio}{met}", figure.name, figure.unit));
        self.figures.push(figure);
    }

    /// Prints the table.
    pub(crate) fn print(&self) -> Result<()> {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        table.set_header(["figure", "value", "range", "unit", "limit", "ratio", "range", "target", "met"]);
        for figure in &self.figures {
            let met = figure.met().map_or("", |met| if met { "yes" } else { "NO" });
            let ratio = figure.ratio.map(|ratio| format!("{:.2}", ratio.median)).unwrap_or_default();
            let target = figure.target.map(Target::text).unwrap_or_default();
            let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
            table.add_row([
                Cell::new(&figure.name),
                right(number(figure.value.median)),
                right(range(Some(figure.value), number)),
                Cell::new(figure.unit),
                right(number_of(figure.limit)),
                right(ratio),
                right(range(figure.ratio, |ratio| format!("{ratio:.2}"))),
                Cell::new(target),
                Cell::new(met),
            ]);
        }
        output::line(table)?;
        let met: Vec<bool> = self.figures.iter().filter_map(Figure::met).collect();
        let count = met.iter().filter(|met| **met).count();
        Ok(output::line(format_args!("{count} of {} targets are met", met.len()))?)
    }

    /// Writes `bench.json` and `bench.svg` into a directory, which is made if it is not there.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let written: Vec<Written<'_>> = self.figures.iter().map(Figure::written).collect();
        for (name, content) in
            [("bench.json", serde_json::to_string_pretty(&written)?), ("bench.svg", chart::svg(&self.figures))]
        {
            let path = dir.join(name);
            fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}

fn number_of(spread: Option<Spread>) -> String {
    spread.map(|spread| number(spread.median)).unwrap_or_default()
}

/// From the least to the most, where there is a difference.
fn range(spread: Option<Spread>, text: impl Fn(f64) -> String) -> String {
    spread
        .filter(|spread| spread.min < spread.max)
        .map(|spread| format!("{}..{}", text(spread.min), text(spread.max)))
        .unwrap_or_default()
}

/// A number as people read it: three significant digits, thousands apart.
fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        let decimals = if value.abs() < 10.0 { 2 } else { 1 };
        return format!("{value:.decimals$}");
    }
    let digits = format!("{value:.0}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    format!("{sign}{}", groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        let numbers = [0.5, 9.994, 10.0, 99.94, 100.0, 1_234.4, 1_234_567.0, -4_321.0].map(number);
        assert_eq!(numbers, ["0.50", "9.99", "10.0", "99.9", "100", "1,234", "1,234,567", "-4,321"]);
    }

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
