//! The pull scenarios: clients read logs from a server, beside readers of the same rows by SQL.

mod contenders;
mod pull_fixture;

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use self::contenders::Contender;
use self::pull_fixture::PullFixture;
use crate::bench::environment::Environment;
use crate::bench::generator::pull::Format;
use crate::bench::measure::Sample;
use crate::bench::measure::spread::{Spread, ratios};
use crate::bench::plan::Scenario;
use crate::bench::report::{Figure, Report, Target, number};
use crate::output;

/// A pull scenario.
struct PullScenario {
    scenario: Scenario,
    name: &'static str,
    baseline: Contender,
    /// The contender that pulls in a given format.
    contender: fn(Format) -> Contender,
    /// Formats of the same encoding, and the target for the ratio of the best of them: a client is free to choose the
    /// faster way.
    targets: &'static [(&'static [Format], f64)],
}

const MSGPACK: &[Format] = &[Format::Pages, Format::Stream];
const JSON: &[Format] = &[Format::JsonPages, Format::JsonLines];

const SCENARIOS: [PullScenario; 3] = [
    PullScenario {
        scenario: Scenario::Pull,
        name: "pull, 1 client from the start",
        baseline: Contender::SqlOne,
        contender: Contender::One,
        targets: &[(MSGPACK, 0.8), (JSON, 0.4)],
    },
    PullScenario {
        scenario: Scenario::PullEight,
        name: "pull, 8 clients at once from the start",
        baseline: Contender::SqlEight,
        contender: Contender::Eight,
        targets: &[(MSGPACK, 0.6), (JSON, 1.2)],
    },
    PullScenario {
        scenario: Scenario::PullHead,
        name: "pull, 8 clients near the head",
        baseline: Contender::SqlNearHead,
        contender: Contender::NearHead,
        targets: &[(MSGPACK, 1.0)],
    },
];

/// What each contender did, round by round.
type Samples = BTreeMap<Contender, Vec<Sample>>;

/// Runs the pull scenarios of the plan.
pub(super) async fn run(environment: &Environment, report: &mut Report) -> Result<()> {
    let is_planned = |scenario: &&PullScenario| environment.plan.scenarios.contains(&scenario.scenario);
    let scenarios: Vec<&PullScenario> = SCENARIOS.iter().filter(is_planned).collect();
    if scenarios.is_empty() {
        return Ok(());
    }
    let fixture = PullFixture::fill(environment).await?;
    let formats = fixture.supported_formats().await?;
    let mut samples = Samples::new();
    for round in 1..=environment.plan.rounds {
        for contender in scenarios.iter().flat_map(|scenario| scenario.contenders(&formats)) {
            let sample = contender.measure(environment, &fixture).await?;
            let rate = number(sample.per_second());
            output::note(format_args!("round {round}: {contender}: {rate} events/s"));
            samples.entry(contender).or_default().push(sample);
        }
    }
    for scenario in scenarios {
        add(scenario, &formats, &samples, report)?;
    }
    fixture.server.end(&environment.postgres).await
}

impl PullScenario {
    /// The contenders that are measured for this scenario, in the formats that the server supports.
    fn contenders(&self, supported: &[Format]) -> Vec<Contender> {
        let formats = self.targets.iter().flat_map(|(formats, _)| *formats).filter(|format| supported.contains(format));
        [self.baseline].into_iter().chain(formats.map(|format| (self.contender)(*format))).collect()
    }
}

fn add(scenario: &PullScenario, supported: &[Format], samples: &Samples, report: &mut Report) -> Result<()> {
    let baseline = rates(samples, scenario.baseline)?;
    for (formats, target) in scenario.targets {
        let mut figures = Vec::new();
        for format in formats.iter().filter(|format| supported.contains(format)) {
            let rates = rates(samples, (scenario.contender)(*format))?;
            let rate = Spread::of_rounds(rates.iter().copied())?;
            let figure = Figure::new(format!("{}, {format}", scenario.name), rate, "events/s");
            let baseline_rate = Spread::of_rounds(baseline.iter().copied())?;
            figures.push((*format, figure.beside(baseline_rate, ratios(&rates, &baseline))));
        }
        let best = figures.iter_mut().max_by(|(_, one), (_, other)| one.ratio().total_cmp(&other.ratio()));
        if let Some((_, best)) = best {
            best.set_target(Target::RatioAtLeast(*target));
        }
        for (format, figure) in figures {
            report.add(figure);
            let samples = of(samples, (scenario.contender)(format))?;
            add_cpu(&format!("{}, {format}", scenario.name), samples, report)?;
        }
    }
    Ok(())
}

fn add_cpu(name: &str, samples: &[Sample], report: &mut Report) -> Result<()> {
    let us_each =
        |seconds: fn(&Sample) -> f64| Spread::of_rounds(samples.iter().map(|sample| sample.us_each(seconds(sample))));
    let unit = "us/event";
    report.add(Figure::new(format!("{name}: CPU of the server"), us_each(|sample| sample.cpu.server_s)?, unit));
    report.add(Figure::new(format!("{name}: CPU of Postgres"), us_each(|sample| sample.cpu.postgres_s)?, unit));
    report.add(Figure::new(format!("{name}: CPU of the clients"), us_each(|sample| sample.cpu.generator_s)?, unit));
    Ok(())
}

fn rates(samples: &Samples, contender: Contender) -> Result<Vec<f64>> {
    Ok(of(samples, contender)?.iter().map(Sample::per_second).collect())
}

fn of(samples: &Samples, contender: Contender) -> Result<&[Sample]> {
    let samples = samples.get(&contender).with_context(|| format!("{contender}: nothing was measured"))?;
    Ok(samples)
}
