//! Pushes commits one after the other.

use anyhow::{Result, ensure};
use tidelog_core::ids::{Actor, Position, Scope, Seq};
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_core::wire::{Limits, Status};

use super::author::Authors;
use super::parts::{check_answer, parts_of};
use super::tally::Tally;
use super::text::Text;
use crate::client::Client;
use crate::file::{self, Address};
use crate::git::{Change, Commit};
use crate::output::excerpt;
use crate::verify::Trace;

/// The last position of a log that nobody has pushed to: it may hold its `_catalog` event.
const HEAD_FRESH_MAX: Position = Position(1);

/// A replay on its way.
pub(super) struct Replay<'a> {
    client: &'a Client,
    key: &'a str,
    authors: Authors,
    limits: Option<Limits>,
    /// The last position of the last commit.
    head: Position,
    pushed: Trace,
    tally: Tally,
}

/// What a commit's ops have in common.
struct Made {
    author: String,
    subject: String,
    at: UnixMs,
    base: Position,
}

impl<'a> Replay<'a> {
    /// Before the first commit.
    pub(super) fn new(client: &'a Client, key: &'a str) -> Self {
        let (authors, pushed, tally) = (Authors::default(), Trace::default(), Tally::default());
        Self { client, key, authors, limits: None, head: Position::START, pushed, tally }
    }

    /// What was done, and every op of it.
    pub(super) fn end(self) -> (Tally, Trace) {
        (self.tally, self.pushed)
    }

    /// Pushes one commit as its author's device.
    pub(super) async fn push_commit(&mut self, commit: &Commit) -> Result<()> {
        let (author, is_new) = self.authors.get(self.client, self.key, &commit.author).await?;
        let limits = match self.limits {
            Some(limits) => limits,
            None => {
                let status = self.client.status(&author.token).await?;
                check_fresh(&status)?;
                *self.limits.insert(status.limits)
            }
        };
        let tally = &mut self.tally;
        tally.commits += 1;
        tally.devices += u64::from(is_new);
        if is_new && author.name.is_changed {
            tally.texts.note(|| excerpt(&commit.author));
        }
        if commit.changes.is_empty() {
            tally.empty.note(|| commit.id.short().to_owned());
            return Ok(());
        }

        let made = Made::of(commit, author.name.text.clone(), self.head, tally);
        let seqs = (author.last_seq + 1..).map(Seq);
        let ops = seqs.zip(&commit.changes).map(|(seq, change)| made.op(seq, change, tally));
        let parts = parts_of(self.client, &limits, ops.collect::<Result<_>>()?)?;
        if let 2.. = parts.len() {
            let (id, ops, pushes) = (commit.id.short(), commit.changes.len(), parts.len());
            tally.split.note(|| format!("{id} ({ops} ops in {pushes} pushes)"));
        }
        for part in parts {
            tally.batches += 1;
            tally.bytes += part.body.bytes() as u64;
            let answer = self.client.push(&author.token, part.body).await?;
            for (op, position) in part.push.ops.iter().zip(check_answer(&part.push.ops, self.head, &answer)?) {
                self.pushed.pushed(author.device, op, position)?;
                self.head = position;
            }
            author.last_seq = answer.last_seq;
            tally.duplicates += answer.duplicates as u64;
        }
        Ok(())
    }
}

impl Made {
    fn of(commit: &Commit, author: String, base: Position, tally: &mut Tally) -> Self {
        let subject = Text::of(&commit.subject);
        if subject.is_changed {
            tally.texts.note(|| format!("{} {}", commit.id.short(), excerpt(&commit.subject)));
        }
        Self { author, subject: subject.text, at: time_of(commit.committed_s), base }
    }

    fn op(&self, seq: Seq, change: &Change, tally: &mut Tally) -> Result<Op> {
        let address = Address::of(&change.path)?;
        if address.is_escaped {
            tally.escaped.note(|| excerpt(&change.path));
        }
        let intent = match &change.entry {
            Some(entry) => {
                tally.puts += 1;
                let text = |text: &str| Value::Text(text.to_owned());
                let path = address.is_escaped.then(|| ("path", Value::Binary(change.path.clone())));
                let fields = [
                    ("blob", text(&entry.blob)),
                    ("mode", text(&entry.mode)),
                    ("author", text(&self.author)),
                    ("subject", text(&self.subject)),
                    ("committed_at", Value::Text(self.at.to_string())),
                ];
                Intent::Put(fields.into_iter().chain(path).collect::<Fields>())
            }
            None => {
                tally.deletes += 1;
                Intent::Delete
            }
        };
        Ok(Op {
            seq,
            table: file::table()?,
            record: address.record,
            scope: Scope::everyone(),
            intent: intent.into(),
            base: Some(self.base),
            at: Some(self.at),
            actor: Actor::nobody(),
        })
    }
}

/// A committer's time as the wire has it, which ends with the year 9999.
fn time_of(committed_s: i64) -> UnixMs {
    let time = UnixMs(committed_s.saturating_mul(1_000));
    UnixMs::parse(&time.to_string()).unwrap_or(UnixMs(0))
}

/// The table is compared as a whole with one tree, so nobody else may have written to it.
fn check_fresh(status: &Status) -> Result<()> {
    ensure!(
        status.head <= HEAD_FRESH_MAX,
        "workspace {} has {} events already, which would be compared too: take a fresh one (tidelog workspace create)",
        status.workspace,
        status.head
    );
    ensure!(
        status.tables.iter().any(|table| table.as_str() == file::TABLE),
        "the server's catalog has no table {} that the key's role may read",
        file::TABLE
    );
    Ok(())
}
