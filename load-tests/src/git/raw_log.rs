//! Parses what `git log --raw -z` writes: tokens that end with NUL, which neither a path nor a commit can contain.
//!
//! A commit is four tokens of [`FORMAT`], then two for each changed path. The first of the two starts with a colon, as
//! no first token of a commit does, and the second is the path, whatever it looks like: so nothing in a repository can
//! be taken for something else.

use std::io::BufRead;

use anyhow::{Context, Result, bail};

use super::CommitId;
use crate::file::Entry;

/// The format of a commit's own tokens: id, committer's time, author, subject.
pub(super) const FORMAT: &str = "tformat:commit %H%x00%ct%x00%an <%ae>%x00%s";
/// The mode of the side on which a path is not.
const MODE_ABSENT: &[u8] = b"000000";

/// A commit with what it changed against its first parent.
#[derive(Debug)]
pub(crate) struct Commit {
    /// Its id.
    pub(crate) id: CommitId,
    /// The committer's time in seconds; 0 where git cannot read it.
    pub(crate) committed_s: i64,
    /// `name <email>`, in whatever encoding.
    pub(crate) author: Vec<u8>,
    /// Its first paragraph on one line, in whatever encoding.
    pub(crate) subject: Vec<u8>,
    /// The paths it changed, each once.
    pub(crate) changes: Vec<Change>,
}

/// A path that a commit changed.
#[derive(Debug)]
pub(crate) struct Change {
    /// The path, raw.
    pub(crate) path: Vec<u8>,
    /// What the path holds since; `None` where it was removed.
    pub(crate) entry: Option<Entry>,
}

/// A reader of commits.
pub(crate) struct RawLog<R> {
    reader: R,
    /// The first token of the next commit: that it was one is only known once it was read.
    ahead: Option<Vec<u8>>,
}

impl<R: BufRead> RawLog<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, ahead: None }
    }

    /// The next commit; `None` at the end.
    pub(crate) fn next_commit(&mut self) -> Result<Option<Commit>> {
        let first = match self.ahead.take() {
            Some(token) => token,
            None => match self.token()? {
                Some(token) => token,
                None => return Ok(None),
            },
        };
        let id = first.strip_prefix(b"commit ").and_then(|id| String::from_utf8(id.to_vec()).ok());
        let id = CommitId(id.with_context(|| format!("git log: {} is no commit", first.escape_ascii()))?);
        let committed_s = String::from_utf8(self.expect()?).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let (author, subject) = (self.expect()?, self.expect()?);
        let changes = self.changes().with_context(|| format!("in commit {}", id.0))?;
        Ok(Some(Commit { id, committed_s, author, subject, changes }))
    }

    fn changes(&mut self) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        while let Some(token) = self.token()? {
            // git sets the changes off with a newline.
            let entry = token.strip_prefix(b"\n").unwrap_or(&token);
            if entry.starts_with(b":") {
                let entry = parse_entry(entry)?;
                changes.push(Change { entry, path: self.expect()? });
            } else if !entry.is_empty() {
                self.ahead = Some(token);
                break;
            }
        }
        Ok(changes)
    }

    fn expect(&mut self) -> Result<Vec<u8>> {
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

/// Reads `:<old mode> <new mode> <old blob> <new blob> <status>`.
fn parse_entry(token: &[u8]) -> Result<Option<Entry>> {
    let parts: Vec<&[u8]> = token.split(|byte| *byte == b' ').collect();
    let [_, mode, _, blob, _] = parts.as_slice() else { bail!("git log: {} is no change", token.escape_ascii()) };
    if *mode == MODE_ABSENT {
        return Ok(None);
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).context("git log: a change is not text");
    Ok(Some(Entry { mode: text(mode)?, blob: text(blob)? }))
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
    fn a_log_that_is_cut_off_is_told() {
        for log in ["commit a1|7|author", "commit a1|7|author|", "commit a1|7|author|subject|\n:0 1 0 1 A|", "junk|"] {
            assert!(parse(log).is_err(), "{log}");
        }
    }
}
