//! Converts a file of a repository to a record of the table `files`, and back.
//!
//! The record id is the path if that is possible. A path that is too long for a record id, is not UTF-8, or begins like an
//! escaped id, has the record id `path-sha256/<hex>` instead, and its bytes are in the binary field `path`. So nothing is
//! lost, and no two paths have the same record id.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use tidelog_core::ids::{InvalidName, RecordId, TableName};
use tidelog_core::value::{Fields, Value};

use crate::output;

/// The name of the table of files.
pub(crate) const TABLE: &str = "files";
/// The beginning of a record id that is not the path itself.
const ESCAPED_ID_PREFIX: &str = "path-sha256/";

/// The record id of a path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PathRecordId {
    /// The record id.
    pub(crate) record: RecordId,
    /// Whether the record id is not the path itself.
    pub(crate) is_escaped: bool,
}

/// The content of a path in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TreeEntry {
    /// The mode as git writes it: `100644`, `100755`, `120000` for a symlink, `160000` for a submodule.
    pub(crate) mode: String,
    /// The id of the blob, or of the commit of a submodule.
    pub(crate) blob: String,
}

/// The table of files.
pub(crate) fn table() -> Result<TableName, InvalidName> {
    TableName::parse(TABLE)
}

impl PathRecordId {
    /// The record id of a path.
    pub(crate) fn of(path: &[u8]) -> Result<Self, InvalidName> {
        let plain = std::str::from_utf8(path).ok().filter(|path| !path.starts_with(ESCAPED_ID_PREFIX));
        if let Some(Ok(record)) = plain.map(RecordId::parse) {
            return Ok(Self { record, is_escaped: false });
        }
        Ok(Self { record: RecordId::parse(format!("{ESCAPED_ID_PREFIX}{}", sha256_hex(path)))?, is_escaped: true })
    }

    /// The path of a record. Fails if the record does not have the id that belongs to the path.
    pub(crate) fn path_of(record: &RecordId, fields: &Fields) -> Result<Vec<u8>> {
        let path = match fields.0.get("path") {
            None => record.as_str().as_bytes().to_vec(),
            Some(Value::Binary(path)) => path.clone(),
            Some(_) => anyhow::bail!("the field path of record {} is not binary", shown(record)),
        };
        let expected = Self::of(&path)?;
        let is_expected = expected.record == *record && expected.is_escaped == fields.0.contains_key("path");
        ensure!(is_expected, "record {} does not have the id that belongs to its path", shown(record));
        Ok(path)
    }
}

impl TreeEntry {
    /// Reads the entry from the fields of a record.
    pub(crate) fn of_fields(fields: &Fields) -> Result<Self> {
        let text = |name: &str| match fields.0.get(name) {
            Some(Value::Text(text)) => Ok(text.clone()),
            Some(_) => Err(anyhow::anyhow!("the field {name} is not text")),
            None => Err(anyhow::anyhow!("the field {name} is missing")),
        };
        Ok(Self { mode: text("mode")?, blob: text("blob")? })
    }

    /// The entry as a line of a tree: `<mode> <blob>\t<path>\0`.
    pub(crate) fn to_line(&self, path: &[u8]) -> Vec<u8> {
        let mut line = format!("{} {}\t", self.mode, self.blob).into_bytes();
        line.extend_from_slice(path);
        line.push(0);
        line
    }
}

/// The path of a live record, and its line in a tree.
pub(crate) fn tree_line(record: &RecordId, fields: &Fields) -> Result<(Vec<u8>, Vec<u8>)> {
    let path = PathRecordId::path_of(record, fields)?;
    let entry = TreeEntry::of_fields(fields).with_context(|| format!("record {}", shown(record)))?;
    let line = entry.to_line(&path);
    Ok((path, line))
}

fn shown(record: &RecordId) -> String {
    output::printable(record.as_str().as_bytes())
}

/// The SHA-256 of bytes, in hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &[u8], is_escaped: bool) {
        let id = PathRecordId::of(path).unwrap();
        assert_eq!(id.is_escaped, is_escaped, "{}", path.escape_ascii());
        let raw = is_escaped.then(|| ("path", Value::Binary(path.to_vec())));
        assert_eq!(PathRecordId::path_of(&id.record, &raw.into_iter().collect()).unwrap(), path);
    }

    #[test]
    fn every_path_has_a_record_id_and_is_read_back_from_it() {
        check(b"src/main.rs", false);
        check("tab\tnewline\nquote\" \u{1f30a}".as_bytes(), false);
        check(&[b'x'; 255], false);
        check(&[b'x'; 256], true);
        check(b"latin1-\xe9", true);
        check(b"path-sha256/", true);
        check(format!("path-sha256/{}", sha256_hex(b"latin1-\xe9")).as_bytes(), true);
    }

    #[test]
    fn a_record_without_the_id_of_its_path_is_an_error() {
        let raw = |path: &[u8]| Fields::from_iter([("path", Value::Binary(path.to_vec()))]);
        let escaped = PathRecordId::of(b"\xff").unwrap().record;
        assert!(PathRecordId::path_of(&escaped, &raw(b"\xfe")).is_err());
        assert!(PathRecordId::path_of(&escaped, &Fields::default()).is_err());
        assert!(PathRecordId::path_of(&RecordId::parse("a").unwrap(), &raw(b"a")).is_err());
    }
}
