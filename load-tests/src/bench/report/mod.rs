//! The figures of a run: as a table for people, as JSON for programs, and as a chart.

mod chart;
mod figure;
mod number;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::{Cell, CellAlignment, Table};

use self::figure::FigureJson;
pub(crate) use self::figure::{Figure, Target};
pub(crate) use self::number::number;
use self::number::range;
use crate::output;

/// The names of the files that are written.
const JSON_FILE: &str = "bench.json";
const CHART_FILE: &str = "bench.svg";
/// What the columns of the table mean, printed below it.
const LEGEND: &str = "\
value     the median of the rounds; the range beside it is from the lowest round to the highest
baseline  what the value is compared with: mostly what Postgres does with the same rows without Tidelog
          (docs/PERFORMANCE.md says what it is for each figure)
ratio     value / baseline, both of the same round
us        microseconds; CPU is user and system time of all threads";

/// All figures of a run.
#[derive(Debug)]
pub(crate) struct Report {
    conditions: String,
    figures: Vec<Figure>,
}

impl Report {
    /// A report without figures. `conditions` says what they are measured on.
    pub(crate) fn new(conditions: String) -> Self {
        Self { conditions, figures: Vec::new() }
    }

    /// Adds a figure, and prints it at once so that people see the run progress.
    pub(crate) fn add(&mut self, figure: Figure) {
        let ratio = figure
            .ratio
            .zip(figure.baseline)
            .map(|(ratio, baseline)| format!(", {:.2} of the baseline, {}", ratio.median, number(baseline.median)));
        let target = match (figure.target, figure.is_met()) {
            (Some(target), Some(true)) => format!("; target ({target}) met"),
            (Some(target), Some(false)) => format!("; target ({target}) NOT met"),
            _ => String::new(),
        };
        let (value, ratio) = (number(figure.value.median), ratio.unwrap_or_default());
        output::note(format_args!("  {}: {value} {}{ratio}{target}", figure.name, figure.unit));
        self.figures.push(figure);
    }

    /// Prints the conditions, the table, and where [`Report::write`] writes to.
    pub(crate) fn print(&self, dir: &Path) -> Result<()> {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        table.set_header(["figure", "value", "range", "unit", "baseline", "ratio", "range", "target", "met"]);
        let mut last_main: Option<&str> = None;
        for figure in &self.figures {
            // "A: B" below "A" is shown as "... B".
            let detail = last_main.and_then(|main| figure.name.strip_prefix(main)?.strip_prefix(": "));
            table.add_row(match detail {
                Some(detail) => row(format!("... {detail}"), figure),
                None => row(figure.name.clone(), figure),
            });
            if detail.is_none() {
                last_main = Some(&figure.name);
            }
        }
        output::line(format_args!("{}\n", self.conditions))?;
        output::line(table)?;
        output::line(format_args!("\n{LEGEND}"))?;
        let are_met: Vec<bool> = self.figures.iter().filter_map(Figure::is_met).collect();
        let met = are_met.iter().filter(|is_met| **is_met).count();
        output::line(format_args!("{met} of {} targets are met", are_met.len()))?;
        let (json, chart) = (dir.join(JSON_FILE), dir.join(CHART_FILE));
        Ok(output::line(format_args!("results: {}, {}", json.display(), chart.display()))?)
    }

    /// Writes the figures as JSON and as a chart into a directory, which is created if it does not exist.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let figures: Vec<FigureJson<'_>> = self.figures.iter().map(Figure::to_json).collect();
        for (name, content) in [
            (JSON_FILE, serde_json::to_string_pretty(&figures)?),
            (CHART_FILE, chart::svg(&self.conditions, &self.figures)),
        ] {
            let path = dir.join(name);
            fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}

/// The row of a figure in the table.
fn row(name: String, figure: &Figure) -> [Cell; 9] {
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let is_met = figure.is_met().map_or("", |is_met| if is_met { "yes" } else { "NO" });
    [
        Cell::new(name),
        right(number(figure.value.median)),
        right(range(Some(figure.value), number)),
        Cell::new(figure.unit),
        right(figure.baseline.map(|baseline| number(baseline.median)).unwrap_or_default()),
        right(figure.ratio.map(|ratio| format!("{:.2}", ratio.median)).unwrap_or_default()),
        right(range(figure.ratio, |ratio| format!("{ratio:.2}"))),
        Cell::new(figure.target.map(|target| target.to_string()).unwrap_or_default()),
        Cell::new(is_met),
    ]
}
