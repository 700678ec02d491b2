//! What `postmaster.pid` says of the server in a cluster.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::EmbeddedError;

/// The server that wrote the file last, dead or alive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    /// Its process id.
    pub(crate) pid: u32,
    /// How far it is.
    pub(crate) status: Status,
}

/// The file's 8th line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Recovers, or has not come to say anything yet.
    Starting,
    /// Answers queries.
    Ready,
    /// Shuts down, or is a standby, which we never make.
    Other,
}

/// `None` if no server has been here, or the last one left as it should, or the file is not written yet.
pub(crate) fn read(pgdata: &Path) -> Result<Option<PidFile>, EmbeddedError> {
    let path = pgdata.join("postmaster.pid");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EmbeddedError::io("read", &path)(error)),
    }
}

/// The server in `pgdata`, if its process lives.
pub(crate) fn read_running(pgdata: &Path) -> Result<Option<PidFile>, EmbeddedError> {
    Ok(read(pgdata)?.filter(|server| is_running(server.pid)))
}

fn parse(text: &str) -> Option<PidFile> {
    let mut lines = text.lines();
    // Negative for a server that runs alone, such as the one `initdb` uses.
    let pid = lines.next()?.trim().parse::<i64>().ok()?.unsigned_abs();
    let status = match lines.nth(6).map(str::trim) {
        Some("starting") | None => Status::Starting,
        Some("ready") => Status::Ready,
        Some(_) => Status::Other,
    };
    Some(PidFile { pid: u32::try_from(pid).ok()?, status })
}

/// Whether a Postgres has this process id: after a crash another process may have got it, above all in containers, where
/// the same few numbers are given out at each start. A dead one that nobody has reaped is not running either.
#[cfg(target_os = "linux")]
fn is_running(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // `4711 (postgres) S ...`: the name may itself hold parentheses.
    let Some((head, tail)) = stat.rsplit_once(')') else { return false };
    head.contains("postgres") && !matches!(tail.trim_start().chars().next(), Some('Z' | 'X'))
}

/// Whether any process has this id: its name is not to be had here without another program.
#[cfg(not(target_os = "linux"))]
fn is_running(pid: u32) -> bool {
    use nix::errno::Errno;
    let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
    matches!(nix::sys::signal::kill(pid, None), Ok(()) | Err(Errno::EPERM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_tells_process_and_status() {
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
    fn a_process_that_is_no_postgres_is_no_server() {
        // This test's own process lives and is not called so.
        assert_eq!(is_running(std::process::id()), !cfg!(target_os = "linux"));
    }
}
