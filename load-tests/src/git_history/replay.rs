//! Replays commits: each is pushed as a batch of its author's device.

use anyhow::{Result, ensure};
use tidelog_core::ids::{Actor, Position, Scope, Seq};
use tidelog_core::op::{Intent, Op};
use tidelog_core::time::UnixMs;
use tidelog_core::value::{Fields, Value};
use tidelog_core::wire::{Limits, Status};

use super::author::Authors;
use super::pushes::{CommitPush, check_response, split_into_pushes};
use super::tally::Tally;
use super::text::Text;
use crate::client::Client;
use crate::file::{self, PathRecordId};
use crate::git::{Change, Commit};
use crate::output::excerpt;
use crate::verify::Trace;

/// Limit of the head of a log that nobody has pushed to: it may hold a `_catalog` event.
const NEW_LOG_HEAD_MAX: Position = Position(1);

/// A replay, and how far it is.
pub(super) struct Replay<'a> {
    client: &'a Client,
    key: &'a str,
    authors: Authors,
    /// The server's limits. `None` before the first commit.
    limits: Option<Limits>,
    /// The last position of the last commit, which is the base of the next one.
    head: Position,
    pushed: Trace,
    tally: Tally,
}

/// What all ops of a commit have in common.
struct CommitContext {
    author: String,
    subject: String,
    at: UnixMs,
    base: Position,
}

impl<'a> Replay<'a> {
    /// A replay at its beginning.
    pub(super) fn new(client: &'a Client, key: &'a str) -> Self {
        let (authors, pushed, tally) = (Authors::default(), Trace::default(), Tally::default());
        Self { client, key, authors, limits: None, head: Position::START, pushed, tally }
    }

    /// The counts of the replay, and all ops that it has pushed.
    pub(super) fn finish(self) -> (Tally, Trace) {
        (self.tally, self.pushed)
    }

    /// Pushes one commit as its author's device.
    pub(super) async fn push_commit(&mut self, commit: &Commit) -> Result<()> {
        let (author, is_new) = self.authors.get_or_register(self.client, self.key, &commit.author).await?;
        let limits = match self.limits {
            Some(limits) => limits,
            None => {
                let status = self.client.status(&author.token).await?;
                check_new_workspace(&status)?;
                *self.limits.insert(status.limits)
            }
        };
        let tally = &mut self.tally;
        tally.commits += 1;
        tally.devices += u64::from(is_new);
        if is_new && author.name.is_changed {
            tally.changed_texts.add(|| excerpt(&commit.author));
        }
        if commit.changes.is_empty() {
            tally.empty.add(|| commit.id.short().to_owned());
            return Ok(());
        }

        let context = CommitContext::of(commit, author.name.text.clone(), self.head, tally);
        let seqs = (author.last_seq + 1..).map(Seq);
        let ops = seqs.zip(&commit.changes).map(|(seq, change)| context.op(seq, change, tally));
        let pushes = split_into_pushes(self.client, &limits, ops.collect::<Result<_>>()?)?;
        if pushes.len() > 1 {
            let (id, ops, count) = (commit.id.short(), commit.changes.len(), pushes.len());
            tally.split.add(|| format!("{id} ({ops} ops in {count} pushes)"));
        }
        for CommitPush { push, body } in pushes {
            tally.batches += 1;
            tally.bytes += body.bytes() as u64;
            let response = self.client.push(&author.token, body).await?;
            for (op, position) in push.ops.iter().zip(check_response(&push.ops, self.head, &response)?) {
                self.pushed.add_op(author.device, op, position)?;
                self.head = position;
            }
            author.last_seq = response.last_seq;
            tally.duplicates += response.duplicates as u64;
        }
        Ok(())
    }
}

impl CommitContext {
    fn of(commit: &Commit, author: String, base: Position, tally: &mut Tally) -> Self {
        let subject = Text::of(&commit.subject);
        if subject.is_changed {
            tally.changed_texts.add(|| format!("{} {}", commit.id.short(), excerpt(&commit.subject)));
        }
        Self { author, subject: subject.text, at: time_of(commit.committed_s), base }
    }

    fn op(&self, seq: Seq, change: &Change, tally: &mut Tally) -> Result<Op> {
        let id = PathRecordId::of(&change.path)?;
        if id.is_escaped {
            tally.escaped.add(|| excerpt(&change.path));
        }
        let intent = match &change.entry {
            Some(entry) => {
                tally.puts += 1;
                let text = |text: &str| Value::Text(text.to_owned());
                let path = id.is_escaped.then(|| ("path", Value::Binary(change.path.clone())));
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
            record: id.record,
            scope: Scope::everyone(),
            intent: intent.into(),
            base: Some(self.base),
            at: Some(self.at),
            actor: Actor::nobody(),
        })
    }
}

/// The time of a committer as an op can have it. It is 1970 if the time is after the year 9999, which no op can have.
fn time_of(committed_s: i64) -> UnixMs {
    let time = UnixMs(committed_s.saturating_mul(1_000));
    UnixMs::parse(&time.to_string()).unwrap_or(UnixMs(0))
}

/// Checks that nobody has written to the workspace before, since its whole table is compared with one tree.
fn check_new_workspace(status: &Status) -> Result<()> {
    ensure!(
        status.head <= NEW_LOG_HEAD_MAX,
        "workspace {} has {} events already, which would be compared too: use a new one (tidelog workspace create)",
        status.workspace,
        status.head
    );
    ensure!(
        status.tables.iter().any(|table| table.as_str() == file::TABLE),
        "the role of the key can read no table {}: the server needs a catalog that has it, as the default one does",
        file::TABLE
    );
    Ok(())
}
