//! The log file of the server.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use nix::sys::statvfs::statvfs;

use crate::EmbeddedError;
use crate::data_dir::DataDir;

/// A log longer than this is renamed at the next start. One older log is kept.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// Bytes at the end of the log that are read for the last lines.
const TAIL_BYTES_MAX: u64 = 4 << 10;
/// Bytes at the end of the log that are searched for the cause of an end. Postgres tries to recover before it gives up, and
/// logs that after the cause.
const CAUSE_BYTES_MAX: u64 = 64 << 10;
/// Free bytes below which Postgres cannot be expected to have logged why it ended.
const LOG_ROOM_BYTES_MIN: u64 = 64 << 10;
/// Lines that an error message quotes.
const TAIL_LINES_MAX: usize = 4;

/// The open log, and the offset at which this run of the server begins.
#[derive(Debug)]
pub(crate) struct ServerLog {
    path: PathBuf,
    file: File,
    start_offset: u64,
}

impl ServerLog {
    /// Opens the log to append to it.
    pub(crate) fn open(data_dir: &DataDir) -> Result<ServerLog, EmbeddedError> {
        let path = data_dir.log();
        if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
            fs::rename(&path, data_dir.older_log()).map_err(EmbeddedError::io("rename", &path))?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let file = file.map_err(EmbeddedError::io("open", &path))?;
        let start_offset = file.metadata().map_err(EmbeddedError::io("read", &path))?.len();
        Ok(ServerLog { path, file, start_offset })
    }

    /// The path of the log, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// A handle for the server to write to.
    pub(crate) fn writer(&self) -> Result<File, EmbeddedError> {
        self.file.try_clone().map_err(EmbeddedError::io("open", &self.path))
    }

    /// The last lines of this run, joined to one line.
    pub(crate) fn tail(&self) -> String {
        match self.end(TAIL_BYTES_MAX) {
            Ok(bytes) => last_lines(&bytes),
            Err(error) => error.to_string(),
        }
    }

    /// Whether this run lately met a full disk. On a disk that is full to the last block the log cannot say so.
    pub(crate) fn names_full_disk(&self) -> bool {
        let end = self.end(CAUSE_BYTES_MAX).unwrap_or_default();
        let is_named = String::from_utf8_lossy(&end).contains("No space left on device");
        let disk = statvfs(&self.path);
        is_named || disk.is_ok_and(|disk| disk.blocks_available() * disk.fragment_size() < LOG_ROOM_BYTES_MIN)
    }

    /// The end of what this run has written.
    fn end(&self, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(self.start_offset.max(length.saturating_sub(bytes_max))))?;
        file.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The last lines of a program's output, joined to one line for a message.
pub(crate) fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES_MAX)..];
    if last.is_empty() { "it printed nothing".to_owned() } else { last.join(" | ") }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_tail_is_one_line_of_this_run_only() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::create(dir.path()).unwrap();
        fs::write(data_dir.log(), "of the run before\n").unwrap();
        let log = ServerLog::open(&data_dir).unwrap();
        assert_eq!(log.tail(), "it printed nothing");
        log.writer().unwrap().write_all(b"1\n2\n\n3\n  4\n5").unwrap();
        assert_eq!(log.tail(), "2 | 3 | 4 | 5");
    }

    #[test]
    fn a_long_log_is_renamed() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::create(dir.path()).unwrap();
        File::create(data_dir.log()).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
        ServerLog::open(&data_dir).unwrap();
        assert_eq!(fs::metadata(data_dir.log()).unwrap().len(), 0);
        assert_eq!(fs::metadata(data_dir.older_log()).unwrap().len(), LOG_BYTES_MAX + 1);
    }
}
