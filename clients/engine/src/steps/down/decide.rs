//! Decides what the lane asks for next, from the store alone.

use tidelog_core::ids::{Scope, TableName};

use crate::port::Lane;
use crate::steps::down::snapshot::restart::{begin_snapshot, common_position};
use crate::steps::step::{After, Cx, Purpose, Request, Step};
use crate::store::{Fault, KeptCursor, Meta, Part, Selection, SnapshotRow, SnapshotTables, StoreName, Tx};
use crate::wire::{HttpRequest, query};

/// How long a pull waits for new events, in milliseconds.
const PULL_WAIT_MS: u64 = 25_000;

/// Decides what the lane asks for next.
pub(crate) struct DecideDown {
    /// Whether the last page was the newest, so that a pull may wait.
    pub(crate) is_caught_up: bool,
    /// Whether the digests are compared.
    pub(crate) checks_digests: bool,
    /// Whether the server may know more about what became of own ops than at the last look.
    pub(crate) asks_outcomes: bool,
    /// The server refuses the cursor: it is asked about the kept ones below this position.
    pub(crate) probe_below: Option<i64>,
}

impl Step for DecideDown {
    fn run(&self, tx: &mut Tx, cx: &Cx<'_>) -> Result<After, Fault> {
        let keys = [
            Meta::device().key(),
            Meta::token().key(),
            Meta::snapshot().key(),
            Meta::stale().key(),
            Meta::cursor().key(),
            Meta::selection().key(),
            Meta::garbage().key(),
            Meta::ask_outcomes().key(),
            Meta::ask_conflicts().key(),
            Meta::kept_cursors().key(),
        ];
        tx.need(&keys)?;
        let (Some(_), Some(token)) = (tx.meta(Meta::device())?, tx.meta(Meta::token())?) else {
            return Ok(After::Idle(Lane::Down));
        };
        let ask =
            Asking { token, selection: tx.meta(Meta::selection())?.unwrap_or_default(), page_max: cx.config.page_max };
        if let Some(below) = self.probe_below {
            let kept = tx.meta(Meta::kept_cursors())?.unwrap_or_default();
            return match kept.into_iter().rfind(|kept| kept.position < below) {
                Some(kept) => Ok(ask.probe(&kept)),
                None => {
                    common_position(tx, 0)?;
                    Ok(After::Again(Lane::Down))
                }
            };
        }
        if let Some(snapshot) = tx.meta(Meta::snapshot())? {
            return Ok(ask.snapshot(&snapshot));
        }
        let cursor = tx.meta(Meta::cursor())?.unwrap_or_default();
        let Some(text) = cursor.cursor else {
            begin_snapshot(tx, SnapshotTables::All)?;
            return Ok(After::Again(Lane::Down));
        };
        if let Some(stale) = tx.meta(Meta::stale())?.filter(|stale| !stale.is_empty()) {
            begin_snapshot(tx, SnapshotTables::Only(stale))?;
            return Ok(After::Again(Lane::Down));
        }
        if let Some(seq) = tx.meta(Meta::ask_outcomes())?.filter(|_| self.asks_outcomes) {
            return Ok(ask.outcomes(seq));
        }
        if let Some(after) = tx.meta(Meta::ask_conflicts())? {
            return Ok(ask.conflicts(&after));
        }
        if let Some(mut garbage) = tx.meta(Meta::garbage())?
            && let Some(generation) = garbage.pop()
        {
            tx.delete_under(StoreName::Records, vec![Part::Int(generation)]);
            tx.set_meta(Meta::garbage(), &garbage);
            return Ok(After::Again(Lane::Down));
        }
        let wait_ms = if self.is_caught_up && cx.config.is_live && !self.checks_digests { PULL_WAIT_MS } else { 0 };
        Ok(ask.events(&text, wait_ms, self.checks_digests))
    }
}

/// What every request of the lane has.
struct Asking {
    token: String,
    selection: Selection,
    page_max: usize,
}

impl Asking {
    fn send(&self, path: &str, parameters: &[(&str, Option<String>)], purpose: Purpose, wait_ms: u64) -> After {
        let http = HttpRequest::get(format!("{path}{}", query(parameters)), &self.token);
        After::Send(Request { lane: Lane::Down, http, purpose, wait_ms })
    }

    fn limit(&self) -> Option<String> {
        Some(self.page_max.to_string())
    }

    fn tables(&self) -> Option<String> {
        self.selection.tables.as_ref().map(|tables| list(tables.iter().map(TableName::as_str)))
    }

    fn scopes(&self) -> Option<String> {
        self.selection.scopes.as_ref().map(|scopes| list(scopes.iter().map(Scope::as_str)))
    }

    fn probe(&self, kept: &KeptCursor) -> After {
        let parameters = [("after", Some(kept.cursor.clone())), ("limit", Some("1".to_owned()))];
        self.send("/sync/pull", &parameters, Purpose::Probe { position: kept.position }, 0)
    }

    fn snapshot(&self, snapshot: &SnapshotRow) -> After {
        let tables = match &snapshot.tables {
            SnapshotTables::All => self.tables(),
            SnapshotTables::Only(tables) => Some(list(tables.iter().map(TableName::as_str))),
        };
        if let Some((after, _)) = &snapshot.events_after {
            let parameters = [
                ("after", Some(after.clone())),
                ("limit", self.limit()),
                ("tables", tables),
                ("scopes", self.scopes()),
            ];
            return self.send(
                "/sync/pull",
                &parameters,
                Purpose::Events { generation: snapshot.generation, after: after.clone() },
                0,
            );
        }
        let parameters = [
            ("state", Some("full".to_owned())),
            ("after", snapshot.after.clone()),
            ("limit", self.limit()),
            ("tables", tables),
            ("scopes", self.scopes()),
        ];
        self.send(
            "/sync/records",
            &parameters,
            Purpose::Records { generation: snapshot.generation, after: snapshot.after.clone() },
            0,
        )
    }

    fn outcomes(&self, seq: i64) -> After {
        let parameters = [("after", Some(seq.to_string())), ("limit", self.limit())];
        self.send("/sync/ops", &parameters, Purpose::Outcomes, 0)
    }

    fn conflicts(&self, after: &str) -> After {
        let after = (!after.is_empty()).then(|| after.to_owned());
        let parameters = [("status", Some("open".to_owned())), ("after", after), ("limit", self.limit())];
        self.send("/conflicts", &parameters, Purpose::Conflicts, 0)
    }

    fn events(&self, after: &str, wait_ms: u64, with_digests: bool) -> After {
        let parameters = [
            ("after", Some(after.to_owned())),
            ("limit", self.limit()),
            ("tables", self.tables()),
            ("scopes", self.scopes()),
            ("wait", (wait_ms > 0).then(|| wait_ms.to_string())),
            ("digests", with_digests.then(|| "true".to_owned())),
        ];
        self.send(
            "/sync/pull",
            &parameters,
            Purpose::Pull { after: after.to_owned(), selection: self.selection.clone() },
            wait_ms,
        )
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(",")
}
