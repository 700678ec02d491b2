//! The server's log file.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::EmbeddedError;
use crate::data_dir::DataDir;

/// A log longer than this is put aside at the next start; one older log is kept.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// How much of the end is searched for the last lines.
const TAIL_BYTES_MAX: u64 = 4 << 10;
/// How many lines an error message quotes.
const TAIL_LINES_MAX: usize = 4;

/// An open log, and where this run of the server begins in it.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    start: u64,
}

impl Log {
    /// Opens it to append.
    pub(crate) fn open(home: &DataDir) -> Result<Log, EmbeddedError> {
        let path = home.log();
        if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
            let aside = home.dir().join("postgres.log.1");
            fs::rename(&path, aside).map_err(EmbeddedError::io("put aside", &path))?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let file = file.map_err(EmbeddedError::io("open", &path))?;
        let start = file.metadata().map_err(EmbeddedError::io("read", &path))?.len();
        Ok(Log { path, file, start })
    }

    /// Where it is, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// For the server to write to.
    pub(crate) fn writer(&self) -> Result<File, EmbeddedError> {
        self.file.try_clone().map_err(EmbeddedError::io("open", &self.path))
    }

    /// The last lines of this run, in one.
    pub(crate) fn tail(&self) -> String {
        let mut bytes = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(self.start.max(length.saturating_sub(TAIL_BYTES_MAX))))?;
            file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)
        });
        match read {
            Ok(_) => last_lines(&bytes),
            Err(error) => error.to_string(),
        }
    }
}

/// The last lines of what a program said, in one, for a message.
pub(crate) fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES_MAX)..];
    if last.is_empty() { "it said nothing".to_owned() } else { last.join(" | ") }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_tail_is_one_line_of_this_run_only() {
        let dir = tempfile::tempdir().unwrap();
        let home = DataDir::create(dir.path()).unwrap();
        fs::write(home.log(), "of the run before\n").unwrap();
        let log = Log::open(&home).unwrap();
        assert_eq!(log.tail(), "it said nothing");
        log.writer().unwrap().write_all(b"1\n2\n\n3\n  4\n5").unwrap();
        assert_eq!(log.tail(), "2 | 3 | 4 | 5");
    }

    #[test]
    fn a_long_log_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let home = DataDir::create(dir.path()).unwrap();
        File::create(home.log()).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
        Log::open(&home).unwrap();
        assert_eq!(fs::metadata(home.log()).unwrap().len(), 0);
        assert_eq!(fs::metadata(home.dir().join("postgres.log.1")).unwrap().len(), LOG_BYTES_MAX + 1);
    }
}
