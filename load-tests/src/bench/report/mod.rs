//! The figures, as a table for people, a list for programs and a chart.

mod chart;
mod figure;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::{Cell, CellAlignment, Table};

use self::figure::Written;
pub(crate) use self::figure::{Figure, Target};
use super::stats::Spread;
use crate::output;

/// All figures of a run.
#[derive(Debug)]
pub(crate) struct Report {
    conditions: String,
    figures: Vec<Figure>,
}

impl Report {
    /// No figures yet, of what is measured under these conditions.
    pub(crate) fn new(conditions: String) -> Self {
        Self { conditions, figures: Vec::new() }
    }

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
        output::line(format_args!("{}\n", self.conditions))?;
        output::line(table)?;
        let met: Vec<bool> = self.figures.iter().filter_map(Figure::met).collect();
        let count = met.iter().filter(|met| **met).count();
        Ok(output::line(format_args!("{count} of {} targets are met", met.len()))?)
    }

    /// Writes `bench.json` and `bench.svg` into a directory, which is made if it is not there.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let written: Vec<Written<'_>> = self.figures.iter().map(Figure::written).collect();
        for (name, content) in [
            ("bench.json", serde_json::to_string_pretty(&written)?),
            ("bench.svg", chart::svg(&self.conditions, &self.figures)),
        ] {
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
}
