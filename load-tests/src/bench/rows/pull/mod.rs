//! The rows of pull.

mod library;

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use self::library::{Library, Side};
use crate::bench::args::Row;
use crate::bench::lab::Lab;
use crate::bench::measure::Sample;
use crate::bench::pull::Form;
use crate::bench::report::{Figure, Report, Target};
use crate::bench::stats::{Spread, ratios};
use crate::output;

/// Who reads at once, where it is not one.
const READERS: usize = 8;

/// A row of pull.
struct PullRow {
    row: Row,
    name: &'static str,
    limit: Side,
    /// Who pulls in a form.
    side: fn(Form) -> Side,
    /// The forms that it is measured in, with what the best of them should reach: the better way to take a log is the one
    /// that an app is told to go.
    targets: &'static [(&'static [Form], f64)],
}

const MSGPACK: &[Form] = &[Form::Pages, Form::Stream];
const JSON: &[Form] = &[Form::JsonPages, Form::JsonLines];

const ROWS: [PullRow; 3] = [
    PullRow {
        row: Row::Pull,
        name: "pull, 1 client from the start",
        limit: Side::LimitOne,
        side: Side::One,
        targets: &[(MSGPACK, 0.8), (JSON, 0.4)],
    },
    PullRow {
        row: Row::PullEight,
        name: "pull, 8 clients at once from the start",
        limit: Side::LimitEight,
        side: Side::Eight,
        targets: &[(MSGPACK, 0.6)],
    },
    PullRow {
        row: Row::PullHead,
        name: "pull, 8 clients near the head",
        limit: Side::LimitNearHead,
        side: Side::NearHead,
        targets: &[(MSGPACK, 1.0)],
    },
];

/// What the sides did, round by round.
type Runs = BTreeMap<Side, Vec<Sample>>;

/// Runs the rows of pull among `rows`.
pub(crate) async fn run(lab: &Lab, rows: &[Row], report: &mut Report) -> Result<()> {
    let rows: Vec<&PullRow> = ROWS.iter().filter(|row| rows.contains(&row.row)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let library = Library::fill(lab).await?;
    let spoken = library.forms().await?;
    let mut runs = Runs::new();
    for round in 1..=lab.plan.rounds {
        for side in rows.iter().flat_map(|row| row.sides(&spoken)) {
            let sample = library.measure(lab, side).await?;
            output::note(format_args!("round {round}: {side:?}: {:.0}/s", sample.per_second()));
            runs.entry(side).or_default().push(sample);
        }
    }
    for row in rows {
        add(row, &spoken, &runs, report)?;
    }
    library.subject.end(lab).await
}

impl PullRow {
    /// What is measured for it, of the forms that the server speaks.
    fn sides(&self, spoken: &[Form]) -> Vec<Side> {
        let forms = self.targets.iter().flat_map(|(forms, _)| *forms).filter(|form| spoken.contains(form));
        [self.limit].into_iter().chain(forms.map(|form| (self.side)(*form))).collect()
    }
}

fn add(row: &PullRow, spoken: &[Form], runs: &Runs, report: &mut Report) -> Result<()> {
    let limit = rates(runs, row.limit)?;
    for (forms, least) in row.targets {
        let mut figures = Vec::new();
        for form in forms.iter().filter(|form| spoken.contains(form)) {
            let rates = rates(runs, (row.side)(*form))?;
            let figure = Figure::new(format!("{}, {}", row.name, name_of(*form)), spread(&rates)?, "events/s");
            figures.push((*form, figure.beside(spread(&limit)?, ratios(&rates, &limit))));
        }
        let best = figures.iter_mut().max_by(|(_, one), (_, other)| one.ratio().total_cmp(&other.ratio()));
        if let Some((_, best)) = best {
            best.set_target(Target::RatioAtLeast(*least));
        }
        for (form, figure) in figures {
            report.add(figure);
            let samples = runs.get(&(row.side)(form)).context("a side without runs")?;
            let name = format!("{}, {}", row.name, name_of(form));
            cpu(&name, samples, report)?;
        }
    }
    Ok(())
}

fn cpu(name: &str, samples: &[Sample], report: &mut Report) -> Result<()> {
    let each = |seconds: fn(&Sample) -> f64| {
        Spread::of(samples.iter().map(|sample| sample.us_each(seconds(sample)))).context("a side without runs")
    };
    let us = "us/event";
    report.add(Figure::new(format!("{name}: CPU of the server"), each(|sample| sample.cpu.server_s)?, us));
    report.add(Figure::new(format!("{name}: CPU of Postgres"), each(|sample| sample.cpu.postgres_s)?, us));
    report.add(Figure::new(format!("{name}: CPU of the clients"), each(|sample| sample.cpu.generator_s)?, us));
    Ok(())
}

fn name_of(form: Form) -> &'static str {
    match form {
        Form::Pages => "MessagePack pages",
        Form::Stream => "MessagePack stream",
        Form::JsonPages => "JSON pages",
        Form::JsonLines => "NDJSON",
    }
}

fn rates(runs: &Runs, side: Side) -> Result<Vec<f64>> {
    let samples = runs.get(&side).context("a side without runs")?;
    Ok(samples.iter().map(Sample::per_second).collect())
}

fn spread(values: &[f64]) -> Result<Spread> {
    Spread::of(values.iter().copied()).context("a side without runs")
}
