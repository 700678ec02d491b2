//! A file of a repository as a record of the table `files`, and back.
//!
//! The record id is the path where it can be. A path that is too long for a record id or not UTF-8, or that looks like
//! an escaped one itself, gets the id `path-sha256/<hex>` and stands raw in the binary field `path`: nothing is lost,
//! and no two paths share an id.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use tidelog_core::ids::{InvalidName, RecordId, TableName};
use tidelog_core::value::{Fields, Value};

/// The table that files are in.
pub(crate) const TABLE: &str = "files";
/// In front of every record id that is not its path.
const ESCAPE: &str = "path-sha256/";

/// A path with the id of its record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Address {
    /// The record's id.
    pub(crate) record: RecordId,
    /// Whether the id is not the path itself.
    pub(crate) is_escaped: bool,
}

/// What a path holds in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The mode as git writes it: `100644`, `100755`, `120000` for a symlink, `160000` for a submodule.
    pub(crate) mode: String,
    /// The id of the blob, or of a submodule's commit.
    pub(crate) blob: String,
}

/// The table that files are in.
pub(crate) fn table() -> Result<TableName, InvalidName> {
    TableName::parse(TABLE)
}

impl Address {
    /// The address of a path.
    pub(crate) fn of(path: &[u8]) -> Result<Self, InvalidName> {
        let plain = std::str::from_utf8(path).ok().filter(|path| !path.starts_with(ESCAPE));
        if let Some(Ok(record)) = plain.map(RecordId::parse) {
            return Ok(Self { record, is_escaped: false });
        }
        Ok(Self { record: RecordId::parse(format!("{ESCAPE}{}", sha256_hex(path)))?, is_escaped: true })
    }

    /// The path of a record, which has to be at the address of that path.
    pub(crate) fn path_of(record: &RecordId, fields: &Fields) -> Result<Vec<u8>> {
        let path = match fields.0.get("path") {
            None => record.as_str().as_bytes().to_vec(),
            Some(Value::Binary(path)) => path.clone(),
            Some(_) => anyhow::bail!("record {record:?}: its field path is not binary"),
        };
        let address = Self::of(&path)?;
        let is_at_home = address.record == *record && address.is_escaped == fields.0.contains_key("path");
        ensure!(is_at_home, "record {record:?} is not where its path belongs");
        Ok(path)
    }
}

impl Entry {
    /// The entry that a record's fields hold.
    pub(crate) fn of_fields(fields: &Fields) -> Result<Self> {
        let text = |name: &str| match fields.0.get(name) {
            Some(Value::Text(text)) => Ok(text.clone()),
            other => Err(anyhow::anyhow!("its field {name} is {other:?}")),
        };
        Ok(Self { mode: text("mode")?, blob: text("blob")? })
    }

    /// The line of a tree: `<mode> <blob>\t<path>\0`.
    pub(crate) fn to_line(&self, path: &[u8]) -> Vec<u8> {
        let mut line = format!("{} {}\t", self.mode, self.blob).into_bytes();
        line.extend_from_slice(path);
        line.push(0);
        line
    }
}

/// The path and tree line of a live record.
pub(crate) fn tree_line(record: &RecordId, fields: &Fields) -> Result<(Vec<u8>, Vec<u8>)> {
    let path = Address::path_of(record, fields)?;
    let entry = Entry::of_fields(fields).with_context(|| format!("record {record:?}"))?;
    let line = entry.to_line(&path);
    Ok((path, line))
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

    fn check(path: &[u8], escaped: bool) {
        let address = Address::of(path).unwrap();
        assert_eq!(address.is_escaped, escaped, "{}", path.escape_ascii());
        let raw = escaped.then(|| ("path", Value::Binary(path.to_vec())));
        assert_eq!(Address::path_of(&address.record, &raw.into_iter().collect()).unwrap(), path);
    }

    #[test]
    fn every_path_has_an_address_and_comes_back_from_it() {
        check(b"src/main.rs", false);
        check("tab\tnewline\nquote\" \u{1f30a}".as_bytes(), false);
        check(&[b'x'; 255], false);
        check(&[b'x'; 256], true);
        check(b"latin1-\xe9", true);
        check(b"path-sha256/", true);
        check(format!("path-sha256/{}", sha256_hex(b"latin1-\xe9")).as_bytes(), true);
    }

    #[test]
    fn a_record_that_is_not_at_the_address_of_its_path_is_told() {
        let raw = |path: &[u8]| Fields::from_iter([("path", Value::Binary(path.to_vec()))]);
        let escaped = Address::of(b"\xff").unwrap().record;
        assert!(Address::path_of(&escaped, &raw(b"\xfe")).is_err());
        assert!(Address::path_of(&escaped, &Fields::default()).is_err());
        assert!(Address::path_of(&RecordId::parse("a").unwrap(), &raw(b"a")).is_err());
    }
}
