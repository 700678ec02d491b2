//! Parses the output of `git log --raw -z`: tokens that end with NUL, which neither a path nor a commit can contain.
//!
//! A commit is four tokens of [`FORMAT`], then two tokens for each changed path. The first of these two begins with a colon,
//! which the first token of a commit never does. The second is the path, whatever it looks like. So the output is
//! unambiguous for any repository.

use std::io::BufRead;

use anyhow::{Context, Result, bail};

use super::repository::CommitId;
use crate::file::TreeEntry;

/// The format of the four tokens of a commit: id, time of the committer, author, subject.
pub(super) const FORMAT: &str = "tformat:commit %H%x00%ct%x00%an <%ae>%x00%s";
/// The mode of a path that does not exist.
const MODE_ABSENT: &[u8] = b"000000";

/// A commit, with its changes to its first parent.
#[derive(Debug)]
pub(crate) struct Commit {
    /// The commit's id.
    pub(crate) id: CommitId,
    /// The time of the committer in Unix seconds. 0 if git cannot read it.
    pub(crate) committed_s: i64,
    /// `name <email>` of the author, in any encoding.
    pub(crate) author: Vec<u8>,
    /// The first paragraph of the message on one line, in any encoding.
    pub(crate) subject: Vec<u8>,
    /// The changed paths, each once.
    pub(crate) changes: Vec<Change>,
}

/// A path that a commit changed.
#[derive(Debug)]
pub(crate) struct Change {
    /// The path, as bytes.
    pub(crate) path: Vec<u8>,
    /// The content of the path after the commit. `None` if the commit removed it.
    pub(crate) entry: Option<TreeEntry>,
}

/// A parser of the output.
pub(crate) struct RawLog<R> {
    reader: R,
    /// The first token of the next commit, which was read to find the end of the current one.
    next_first: Option<Vec<u8>>,
}

impl<R: BufRead> RawLog<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, next_first: None }
    }

    /// Parses the next commit. `None` at the end of the output.
    pub(crate) fn next_commit(&mut self) -> Result<Option<Commit>> {
        let first = match self.next_first.take() {
            Some(token) => token,
            None => match self.token()? {
                Some(token) => token,
                None => return Ok(None),
            },
        };
        let id = first.strip_prefix(b"commit ").and_then(|id| String::from_utf8(id.to_vec()).ok());
        let id = CommitId(
            id.with_context(|| format!("git log: {} is not the beginning of a commit", first.escape_ascii()))?,
        );
        let committed_s = String::from_utf8(self.expect_token()?).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let (author, subject) = (self.expect_token()?, self.expect_token()?);
        let changes = self.changes().with_context(|| format!("in commit {}", id.0))?;
        Ok(Some(Commit { id, committed_s, author, subject, changes }))
    }

    fn changes(&mut self) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        while let Some(token) = self.token()? {
            // Git writes a newline before the first change.
            let entry = token.strip_prefix(b"\n").unwrap_or(&token);
            if entry.starts_with(b":") {
                let entry = parse_entry(entry)?;
                changes.push(Change { entry, path: self.expect_token()? });
            } else if !entry.is_empty() {
                self.next_first = Some(token);
                break;
            }
        }
        Ok(changes)
    }

    fn expect_token(&mut self) -> Result<Vec<u8>> {
        self.token()?.context("git log ends in the middle of a commit")
    }

    fn token(&mut self) -> Result<Option<Vec<u8>>> {
        let mut token = Vec::new();
        self.reader.read_until(0, &mut token).context("git log cannot be read")?;
        match token.pop() {
            None => Ok(None),
            Some(0) => Ok(Some(token)),
            Some(_) => bail!("git log ends in the middle of a token"),
        }
    }
}

/// Parses `:<old mode> <new mode> <old blob> <new blob> <status>`. `None` if the path was removed.
fn parse_entry(token: &[u8]) -> Result<Option<TreeEntry>> {
    let parts: Vec<&[u8]> = token.split(|byte| *byte == b' ').collect();
    let [_, mode, _, blob, _] = parts.as_slice() else { bail!("git log: {} is not a change", token.escape_ascii()) };
    if *mode == MODE_ABSENT {
        return Ok(None);
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).context("git log: a change is not text");
    Ok(Some(TreeEntry { mode: text(mode)?, blob: text(blob)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Commit>> {
        let bytes = text.replace('|', "\0").into_bytes();
        let mut log = RawLog::new(bytes.as_slice());
        std::iter::from_fn(|| log.next_commit().transpose()).collect()
    }

    #[test]
    fn an_author_subject_or_path_can_look_like_anything() {
        let log = "commit a1|7|:author|commit b2|\n:000000 100644 00 c3 A|commit d4|:0 0 0 0 D|\n|commit e5|||| ";
        let commits = parse(log.trim_end_matches(' ')).unwrap();
        assert_eq!(commits.len(), 2);
        assert_eq!((commits[0].author.as_slice(), commits[0].subject.as_slice()), (&b":author"[..], &b"commit b2"[..]));
        assert_eq!(commits[0].changes[0].path, b"commit d4");
        assert_eq!(commits[0].changes[1].path, b"\n");
        assert_eq!((commits[1].committed_s, commits[1].changes.len()), (0, 0));
    }

    #[test]
    fn a_log_that_is_cut_off_is_an_error() {
        for log in ["commit a1|7|author", "commit a1|7|author|", "commit a1|7|author|subject|\n:0 1 0 1 A|", "junk|"] {
            assert!(parse(log).is_err(), "{log}");
        }
    }
}
