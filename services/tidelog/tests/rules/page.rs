//! The page, in Markdown.

use std::fmt::Write;

use serde_json::Value as Json;

use crate::examples::{Deed, Example, Step};
use crate::run::{Outcome, run};

const HEAD: &str = "\
# The rules, each by a run

This page is made by the real server: `services/tidelog/tests/rules` plays each example over HTTP, and fails where what is
written here is not what came out. [MODEL.md](MODEL.md) has the words.

In every example the roles are `manager` and `staff`, the table is `t`, the record `r`. Event 1 is the catalog. *Knows*
is the op's base: the position up to which its device had read everything. A conflict names the two events and
their values; the op in its id is the one that met the other.
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
    write!(page, "\n## {}\n\n{}\n\n", example.title, example.says).unwrap();
    write!(page, "```toml\n[tables.t]\n{}```\n\n", lines(example.table)).unwrap();
    page.push_str("| event | device | knows | op | verdict |\n|---|---|---|---|---|\n");
    for (step, status) in example.steps.iter().zip(&outcome.verdicts) {
        let verdict = status.verdict.as_str();
        writeln!(page, "| {} | {} | {} | {} | {verdict} |", status.position, device(step), step.knows, deed(step))
            .unwrap();
    }
    let record = &outcome.record;
    let state = if record["deleted"] == true { "deleted".to_owned() } else { format!("`{}`", record["fields"]) };
    write!(page, "\nThe record afterwards: {state}. ").unwrap();
    if outcome.conflicts.is_empty() {
        page.push_str("The conflicts is empty.\n");
        return;
    }
    page.push_str("The conflicts:\n\n| conflict | rule | status | winner | loser |\n|---|---|---|---|---|\n");
    for row in &outcome.conflicts {
        let text = |member: &str| row[member].as_str().unwrap().to_owned();
        let (winner, loser) = (side(&row["winner"], outcome), side(&row["loser"], outcome));
        let rows = format!("| `{}` | `{}` | {} |", text("conflict"), text("rule"), status(row));
        writeln!(page, "{rows} {winner} | {loser} |").unwrap();
    }
}

fn lines(text: &str) -> String {
    text.lines().map(|line| format!("{line}\n")).collect()
}

fn device(step: &Step) -> String {
    let clock = step.clock.map(|minutes| format!(", its clock {} min before noon", -minutes)).unwrap_or_default();
    format!("{}{clock}", step.who)
}

fn deed(step: &Step) -> String {
    match &step.deed {
        Deed::Put(fields) => format!("put `{fields}`"),
        Deed::Delete => "delete".to_owned(),
        Deed::Resolve(conflict, fields) => format!("resolve `{conflict}`: `{fields}`"),
    }
}

fn status(row: &Json) -> String {
    let status = row["status"].as_str().unwrap();
    match row["resolved_by"].as_i64() {
        Some(position) => format!("{status} by {position}"),
        None => status.to_owned(),
    }
}

fn side(side: &Json, outcome: &Outcome) -> String {
    let name =
        side["device"].as_str().map_or("the server", |device| outcome.names.get(device).copied().unwrap_or(device));
    let content = match (&side["deleted"], side.get("value")) {
        (Json::Bool(true), _) => ": deleted".to_owned(),
        (_, Some(value)) => format!(": `{value}`"),
        _ => String::new(),
    };
    format!("{} ({name}){content}", side["position"])
}
