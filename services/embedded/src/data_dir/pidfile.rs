//! Reads `postmaster.pid`, in which Postgres reports the state of the server in a cluster.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::EmbeddedError;

/// The server that wrote the file, dead or alive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    /// Process id of the server.
    pub(crate) pid: u32,
    /// Status of the server.
    pub(crate) status: Status,
}

/// The status that a server reports: line 8 of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It is starting or recovering, or has not written the line yet.
    Starting,
    /// It accepts queries.
    Ready,
    /// It is shutting down, or is a standby, which is never created here.
    Other,
}

/// Reads the file; `None` if no server has run here, the last one has stopped in order, or the file is not written yet.
pub(crate) fn read(pgdata: &Path) -> Result<Option<PidFile>, EmbeddedError> {
    let path = pgdata.join("postmaster.pid");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EmbeddedError::io("read", &path)(error)),
    }
}

/// The server in `pgdata`, if its process is running.
pub(crate) fn read_running(pgdata: &Path) -> Result<Option<PidFile>, EmbeddedError> {
    Ok(read(pgdata)?.filter(|server| is_running_in(pgdata, server.pid)))
}

/// Lets a server start in `pgdata` if the file names a process that is not a server of this directory: after a crash
/// another program may have got the id, and a copied directory names the server of the original.
///
/// Postgres refuses to start while the process in the file is alive, unless it is its own parent. So the file names this
/// process afterwards. The rest stays, by which Postgres checks that nothing uses the shared memory of the old server.
pub(crate) fn disown(pgdata: &Path) -> Result<(), EmbeddedError> {
    let path = pgdata.join("postmaster.pid");
    let Some(stale) = read(pgdata)?.filter(|server| !is_running_in(pgdata, server.pid)) else { return Ok(()) };
    let text = fs::read_to_string(&path).map_err(EmbeddedError::io("read", &path))?;
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    tracing::debug!(pid = stale.pid, "postmaster.pid names a process that is not a server of this directory");
    fs::write(&path, format!("{}\n{rest}", std::process::id())).map_err(EmbeddedError::io("write", &path))
}

fn parse(text: &str) -> Option<PidFile> {
    let mut lines = text.lines();
    // Negative for a single-user server, such as `initdb` uses.
    let pid = lines.next()?.trim().parse::<i64>().ok()?.unsigned_abs();
    let status = match lines.nth(6).map(str::trim) {
        Some("starting") | None => Status::Starting,
        Some("ready") => Status::Ready,
        Some(_) => Status::Other,
    };
    Some(PidFile { pid: u32::try_from(pid).ok()?, status })
}

/// Whether a process is a Postgres server of `pgdata`, which is its working directory. The name alone says too little:
/// another Postgres may have the id, above all in a container, where the same few ids are used again after each start,
/// and a copy of a directory names the server of the original. A zombie is not running.
#[cfg(target_os = "linux")]
fn is_running_in(pgdata: &Path, pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // `4711 (postgres) S ...`: the name may itself hold parentheses.
    let Some((head, tail)) = stat.rsplit_once(')') else { return false };
    if !head.contains("postgres") || matches!(tail.trim_start().chars().next(), Some('Z' | 'X')) {
        return false;
    }
    match (fs::read_link(format!("/proc/{pid}/cwd")), pgdata.canonicalize()) {
        (Ok(running_in), Ok(pgdata)) => running_in == pgdata,
        // The process belongs to another user, who may be the one that Postgres runs as here.
        _ => true,
    }
}

/// Whether any process has this id, since another program would be needed to learn its name.
#[cfg(not(target_os = "linux"))]
fn is_running_in(_pgdata: &Path, pid: u32) -> bool {
    use nix::errno::Errno;
    let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
    matches!(nix::sys::signal::kill(pid, None), Ok(()) | Err(Errno::EPERM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_process_and_its_status() {
        let file = |status: &str| format!("4711\n/data\n1795172419\n5432\n/socket\n\n 10117126 4\n{status}\n");
        let check = |text: &str, status| assert_eq!(parse(text), Some(PidFile { pid: 4711, status }), "{text}");
        check(&file("ready   "), Status::Ready);
        check(&file("starting"), Status::Starting);
        check(&file("stopping"), Status::Other);
        check("4711\n/data\n1795172419\n", Status::Starting);
        check("-4711\n/data\n", Status::Starting);
        assert_eq!(parse(""), None);
        assert_eq!(parse("garbage\n"), None);
    }

    #[test]
    fn a_process_that_is_not_postgres_is_not_a_server() {
        // This test's own process is running, and has another name.
        assert_eq!(is_running_in(Path::new("/"), std::process::id()), !cfg!(target_os = "linux"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_that_names_another_program_is_disowned_and_keeps_its_other_lines() {
        let pgdata = tempfile::tempdir().unwrap();
        let path = pgdata.path().join("postmaster.pid");
        // Process 1 runs always, and never in this directory.
        fs::write(&path, "1\n/elsewhere\n1795172419\n5432\n/socket\n\n 10117126 4\nready\n").unwrap();
        disown(pgdata.path()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            format!("{}\n/elsewhere\n1795172419\n5432\n/socket\n\n 10117126 4\nready\n", std::process::id())
        );
    }
}
