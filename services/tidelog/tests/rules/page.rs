//! The page in Markdown.

use std::fmt::Write;

use tidelog_core::wire::{AuthoredEvent, ConflictView, SideView};
use tidelog_testkit::json_of;

use crate::examples::{Action, Example, Step};
use crate::run::{Outcome, run};

const HEAD: &str = "\
# The rules, each with an example

A test writes this page by running a real server: `services/tidelog/tests/rules` plays each example over HTTP, and fails
where the page differs from the outcome. [MODEL.md](MODEL.md) explains the words.

In every example the roles are `manager` and `staff`, the table is `t`, and the record is `r`. Event 1 is the catalog; the
events that say who a device is are left out and not counted. *Knows* is the op's base: the position up to which its device
had read everything. A conflict names two events and their values. Its id begins with the position of the later one.
";

pub(crate) async fn of(examples: &[Example]) -> String {
    let mut page = HEAD.to_owned();
    for example in examples {
        let outcome = run(example).await;
        section(&mut page, example, &outcome);
    }
    page
}

fn section(page: &mut String, example: &Example, outcome: &Outcome) {
    write!(page, "\n## {}\n\n{}\n\n", example.title, example.text).unwrap();
    write!(page, "```toml\n[tables.t]\n{}```\n\n", lines(example.table)).unwrap();
    page.push_str("| event | device | knows | op | verdict |\n|---|---|---|---|---|\n");
    for (step, status) in example.steps.iter().zip(&outcome.ops) {
        let (verdict, action) = (status.verdict.as_str(), action(step));
        let number = outcome.number(status.position);
        writeln!(page, "| {number} | {} | {} | {action} | {verdict} |", device(step), step.knows).unwrap();
    }
    let record = &outcome.record;
    let state = if record.deleted { "deleted".to_owned() } else { format!("`{}`", json_of(&record.fields)) };
    write!(page, "\nThe record afterwards: {state}. ").unwrap();
    if outcome.conflicts.is_empty() {
        page.push_str("There is no conflict.\n");
        return;
    }
    page.push_str("The conflicts:\n\n| conflict | rule | status | winner | loser |\n|---|---|---|---|---|\n");
    for row in &outcome.conflicts {
        let winner = row.winner.as_ref().map_or_else(|| "nothing stood".to_owned(), |winner| side(winner, outcome));
        let beaten_by = row.beaten_by.as_ref();
        let beaten_by = beaten_by.map_or_else(String::new, |event| format!("; beaten by {}", author(event, outcome)));
        let (winner, loser) = (winner + &beaten_by, side(&row.loser, outcome));
        let (id, status) = (outcome.id(&row.conflict), status(row, outcome));
        writeln!(page, "| `{id}` | `{}` | {status} | {winner} | {loser} |", row.rule).unwrap();
    }
}

fn lines(text: &str) -> String {
    text.lines().map(|line| format!("{line}\n")).collect()
}

fn device(step: &Step) -> String {
    let clock = step.minutes.map(|minutes| format!(", its clock {} min before noon", -minutes)).unwrap_or_default();
    format!("{}{clock}", step.device)
}

fn action(step: &Step) -> String {
    match &step.action {
        Action::Put(fields) => format!("put `{fields}`"),
        Action::Delete => "delete".to_owned(),
        Action::Resolve(conflict, fields) => format!("resolve `{conflict}`: `{fields}`"),
    }
}

fn status(row: &ConflictView, outcome: &Outcome) -> String {
    match row.resolved_by {
        Some(position) => format!("{} by {}", row.status, outcome.number(position)),
        None => row.status.clone(),
    }
}

fn side(side: &SideView, outcome: &Outcome) -> String {
    let content = match &side.value {
        _ if side.deleted => ": deleted".to_owned(),
        Some(value) => format!(": `{}`", json_of(value)),
        None => String::new(),
    };
    format!("{}{content}", author(&side.event, outcome))
}

fn author(event: &AuthoredEvent, outcome: &Outcome) -> String {
    let name = outcome.names.get(&event.device).copied().unwrap_or("the server");
    format!("{} ({name})", outcome.number(event.position))
}
