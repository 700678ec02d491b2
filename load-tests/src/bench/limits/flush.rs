//! What it takes to bring a few bytes to the disk for good: what every commit pays at least.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Bytes of a flush: a page of WAL.
const PAGE_BYTES: usize = 8_192;
/// How long our own loop runs.
const LOOP: Duration = Duration::from_secs(1);

/// Microseconds of a flush on the disk of this directory: by Postgres' own program where it is there, else by a loop of
/// a write and an fdatasync; and which of the two it was.
pub(crate) async fn flush_us(programs: &Path, dir: &Path) -> Result<(f64, &'static str)> {
    let (program, file) = (programs.join("pg_test_fsync"), dir.with_file_name("flush"));
    let measuring = move || {
        if program.is_file()
            && let Some(us) = by_postgres(&program, &file)?
        {
            return Ok((us, "pg_test_fsync, fdatasync"));
        }
        let us = own_loop(&file)?;
        std::fs::remove_file(&file)?;
        Ok((us, "a loop of write and fdatasync"))
    };
    tokio::task::spawn_blocking(measuring).await?
}

/// Runs Postgres' program until it has told what is wanted: all of it takes half a minute.
fn by_postgres(program: &Path, file: &Path) -> Result<Option<f64>> {
    let mut command = Command::new(program);
    command.args(["-s", "1", "-f"]).arg(file).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("running {}", program.display()))?;
    let report = child.stdout.take().map(BufReader::new);
    let us = report.and_then(|report| report.lines().map_while(Result::ok).find_map(|line| us_of(&line)));
    // It removes its file when it is told to end.
    let _ = kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM);
    child.wait()?;
    Ok(us)
}

/// The time in a line of the report, if it is that of fdatasync.
fn us_of(line: &str) -> Option<f64> {
    let line = line.trim().strip_prefix("fdatasync")?;
    line.strip_suffix("usecs/op")?.split_ascii_whitespace().last()?.parse().ok()
}

fn own_loop(path: &Path) -> Result<f64> {
    let mut file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let page = [7; PAGE_BYTES];
    let (begin, mut flushes) = (Instant::now(), 0u32);
    while begin.elapsed() < LOOP {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&page)?;
        file.sync_data()?;
        flushes += 1;
    }
    Ok(begin.elapsed().as_secs_f64() * 1e6 / f64::from(flushes.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_postgres_is_read() {
        assert_eq!(us_of("        fdatasync          8486.482 ops/sec     118 usecs/op"), Some(118.0));
        assert_eq!(us_of("        open_datasync      8651.163 ops/sec     116 usecs/op"), None);
        assert_eq!(us_of("        fdatasync          n/a"), None);
    }

    #[test]
    fn a_flush_takes_time() {
        let dir = tempfile::tempdir().unwrap();
        assert!(own_loop(&dir.path().join("flush")).unwrap() > 0.0);
    }
}
