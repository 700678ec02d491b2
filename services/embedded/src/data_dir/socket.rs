//! The directory of the server's socket: in the data directory, or a temporary one if that path would be too long.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::data_dir::DataDir;
use crate::{EmbeddedError, PORT};

/// Length limit of the path of a socket file. Systems accept 103 (macOS) or 107 bytes.
const SOCKET_PATH_BYTES_MAX: usize = 99;

/// The socket file in its directory.
pub(crate) fn file(socket_dir: &Path) -> PathBuf {
    socket_dir.join(format!(".s.PGSQL.{PORT}"))
}

/// Chooses the directory of the socket, and records it if it is not the usual one. No server may be running in `data_dir`.
pub(crate) fn choose_dir(data_dir: &DataDir, temporary_dirs: &[PathBuf]) -> Result<PathBuf, EmbeddedError> {
    // A killed process may have left one.
    remove_temporary_dir(data_dir);
    if is_usable(&data_dir.socket()) {
        return Ok(data_dir.socket());
    }
    let template = temporary_dirs.iter().map(|dir| dir.join("tidelog-XXXXXX")).find(|template| is_usable(template));
    let template = template.unwrap_or_else(|| PathBuf::from("/tmp/tidelog-XXXXXX"));
    let created = nix::unistd::mkdtemp(&template).map_err(Into::into);
    let socket_dir = created.map_err(EmbeddedError::io("create a directory for the socket at", &template))?;
    let record = data_dir.socket_record();
    let lines = [socket_dir.as_os_str(), data_dir.path().as_os_str()].map(OsStrExt::as_bytes).join(&b'\n');
    fs::write(&record, lines).map_err(EmbeddedError::io("write", &record))?;
    Ok(socket_dir)
}

/// The directory of the socket of the server that runs in `data_dir`.
///
/// The server asks for no password, so the owner of the directory could pose as the server. It must therefore belong to
/// the owner of the cluster and be closed to others.
pub(crate) fn dir_of_running(data_dir: &DataDir) -> Result<PathBuf, EmbeddedError> {
    let socket_dir = recorded(data_dir).unwrap_or_else(|| data_dir.socket());
    let pgdata = data_dir.pgdata();
    let owner = fs::symlink_metadata(&pgdata).map_err(EmbeddedError::io("read", &pgdata))?.uid();
    let found = fs::symlink_metadata(&socket_dir).map_err(EmbeddedError::io("read", &socket_dir))?;
    if !found.is_dir() || found.uid() != owner || found.mode() & 0o777 != 0o700 {
        let reason = format!("is not a directory of OS user {owner} that is closed to others (mode 0700)");
        return Err(EmbeddedError::BadDirectory { path: socket_dir, reason });
    }
    Ok(socket_dir)
}

/// Removes the temporary directory, if there is one, with the files that a dead server left in it and no others.
pub(crate) fn remove_temporary_dir(data_dir: &DataDir) {
    let Some(socket_dir) = recorded(data_dir) else { return };
    // Errors do not matter: the next directory gets another name, so a leftover is in nobody's way.
    remove_files(&socket_dir);
    let _ = fs::remove_dir(&socket_dir);
    let _ = fs::remove_file(data_dir.socket_record());
}

/// Removes the socket in the data directory that a dead server left, or the server of the directory that this one is a
/// copy of. No server may be running in `data_dir`.
pub(crate) fn remove_leftover(data_dir: &DataDir) {
    remove_files(&data_dir.socket());
}

/// Removes what a server has in the directory of its socket. If that fails, Postgres reports what is in its way.
fn remove_files(socket_dir: &Path) {
    let _ = fs::remove_file(file(socket_dir));
    let _ = fs::remove_file(socket_dir.join(format!(".s.PGSQL.{PORT}.lock")));
}

/// The directory in the record, if this data directory wrote it. A copy has the record of the original, whose socket is
/// not its to use or remove.
fn recorded(data_dir: &DataDir) -> Option<PathBuf> {
    let record = fs::read_to_string(data_dir.socket_record()).ok()?;
    let (socket_dir, of) = record.split_once('\n').unwrap_or((&record, ""));
    let is_own = of.is_empty() || Path::new(of) == data_dir.path();
    Some(PathBuf::from(socket_dir)).filter(|socket_dir| is_own && socket_dir.is_absolute())
}

/// Whether a directory's path is short enough for a socket, and has no comma, at which a connection URL splits hosts.
fn is_usable(socket_dir: &Path) -> bool {
    let has_no_comma = socket_dir.to_str().is_some_and(|text| !text.contains(','));
    has_no_comma && file(socket_dir).as_os_str().len() <= SOCKET_PATH_BYTES_MAX
}
