//! The time of one flush of the disk, which is the least that a commit takes.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Bytes written before each flush: a page of WAL.
const PAGE_BYTES: usize = 8_192;
/// How long [`time_own_flushes`] runs.
const OWN_FLUSHES_TIME: Duration = Duration::from_secs(1);

/// Microseconds of a flush on the disk that holds `dir`, and how they were measured: by Postgres' `pg_test_fsync` if it is
/// installed, else by a loop of write and fdatasync.
pub(crate) async fn flush_us(programs: &Path, dir: &Path) -> Result<(f64, &'static str)> {
    let (program, file) = (programs.join("pg_test_fsync"), dir.with_file_name("flush"));
    let measuring = move || {
        if program.is_file()
            && let Some(us) = run_pg_test_fsync(&program, &file)?
        {
            return Ok((us, "pg_test_fsync: fdatasync"));
        }
        let us = time_own_flushes(&file)?;
        std::fs::remove_file(&file)?;
        Ok((us, "write and fdatasync"))
    };
    tokio::task::spawn_blocking(measuring).await?
}

/// Runs `pg_test_fsync` until it has printed the line about fdatasync. The rest of its tests would take half a minute.
fn run_pg_test_fsync(program: &Path, file: &Path) -> Result<Option<f64>> {
    let mut command = Command::new(program);
    command.args(["-s", "1", "-f"]).arg(file).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("running {}", program.display()))?;
    let report = child.stdout.take().map(BufReader::new);
    let us = report.and_then(|report| report.lines().map_while(Result::ok).find_map(|line| us_of(&line)));
    // On SIGTERM it removes its file before it ends.
    let _ = kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM);
    child.wait()?;
    Ok(us)
}

/// The microseconds in a line of its report, if the line is the one about fdatasync.
fn us_of(line: &str) -> Option<f64> {
    let line = line.trim().strip_prefix("fdatasync")?;
    line.strip_suffix("usecs/op")?.split_ascii_whitespace().last()?.parse().ok()
}

fn time_own_flushes(path: &Path) -> Result<f64> {
    let mut file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let page = [7; PAGE_BYTES];
    let (begin, mut flushes) = (Instant::now(), 0u32);
    while begin.elapsed() < OWN_FLUSHES_TIME {
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
        assert!(time_own_flushes(&dir.path().join("flush")).unwrap() > 0.0);
    }
}
