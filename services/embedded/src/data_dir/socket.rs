//! The socket's directory: in the data directory, or a temporary one where that path would be too long.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::data_dir::DataDir;
use crate::{EmbeddedError, PORT};

/// Systems take 103 (macOS) or 107 bytes for the path of a socket.
const SOCKET_PATH_BYTES_MAX: usize = 99;

/// The socket in its directory.
pub(crate) fn file(dir: &Path) -> PathBuf {
    dir.join(format!(".s.PGSQL.{PORT}"))
}

/// Chooses the directory, and records it if it is not the usual one. No server may be running in `home`.
pub(crate) fn choose(home: &DataDir, temp: &[PathBuf]) -> Result<PathBuf, EmbeddedError> {
    // What a killed process may have left.
    discard_temporary(home);
    if is_usable(&home.socket()) {
        return Ok(home.socket());
    }
    let template = temp.iter().map(|temp| temp.join("tidelog-XXXXXX")).find(|template| is_usable(template));
    let template = template.unwrap_or_else(|| PathBuf::from("/tmp/tidelog-XXXXXX"));
    let made = nix::unistd::mkdtemp(&template).map_err(Into::into);
    let dir = made.map_err(EmbeddedError::io("make a directory for the socket at", &template))?;
    let record = home.socket_record();
    fs::write(&record, dir.as_os_str().as_bytes()).map_err(EmbeddedError::io("write", &record))?;
    Ok(dir)
}

/// The directory that the server in `home` uses.
///
/// It takes no password, so whoever owns the directory could pose as the server: it must be the cluster's owner's, or
/// root's, and closed to others.
pub(crate) fn of_running(home: &DataDir) -> Result<PathBuf, EmbeddedError> {
    let dir = recorded(home).unwrap_or_else(|| home.socket());
    let pgdata = home.pgdata();
    let owner = fs::symlink_metadata(&pgdata).map_err(EmbeddedError::io("read", &pgdata))?.uid();
    let socket = fs::symlink_metadata(&dir).map_err(EmbeddedError::io("read", &dir))?;
    if !socket.is_dir() || socket.uid() != owner || socket.mode() & 0o777 != 0o700 {
        let reason = format!("should be a directory of OS user {owner}, closed to others (0700), and is not");
        return Err(EmbeddedError::BadDirectory { path: dir, reason });
    }
    Ok(dir)
}

/// Removes the temporary directory, if there is one, with what a dead server left in it and nothing else.
pub(crate) fn discard_temporary(home: &DataDir) {
    let Some(dir) = recorded(home) else { return };
    // What can't be removed is in nobody's way: the next directory has another name.
    let _ = fs::remove_file(file(&dir));
    let _ = fs::remove_file(dir.join(format!(".s.PGSQL.{PORT}.lock")));
    let _ = fs::remove_dir(&dir);
    let _ = fs::remove_file(home.socket_record());
}

fn recorded(home: &DataDir) -> Option<PathBuf> {
    let recorded = fs::read_to_string(home.socket_record()).ok()?;
    Some(PathBuf::from(recorded)).filter(|dir| dir.is_absolute())
}

/// Short enough for a socket, and without what a connection URL would take for a list of hosts.
fn is_usable(dir: &Path) -> bool {
    let text = dir.to_str().is_some_and(|text| !text.contains(','));
    text && file(dir).as_os_str().len() <= SOCKET_PATH_BYTES_MAX
}
