//! CPU time and memory of the measured processes, read from Linux's `/proc`.

use std::fs;
use std::io;

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};

/// The processes whose CPU time is counted: this one, Postgres with all its children, and the server if there is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WatchedProcesses {
    postmaster: u32,
    server: Option<u32>,
    ticks_per_second: f64,
}

/// CPU seconds, user and system together, since each process started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct CpuSeconds {
    /// Of this process, which generates the load.
    pub(crate) generator_s: f64,
    /// Of the postmaster and all backends it has ever had.
    pub(crate) postgres_s: f64,
    /// Of the server. 0 if there is none.
    pub(crate) server_s: f64,
}

impl WatchedProcesses {
    /// Watches these processes.
    pub(crate) fn new(postmaster: u32, server: Option<u32>) -> Result<Self> {
        let ticks = sysconf(SysconfVar::CLK_TCK)?.context("the system does not report the length of a clock tick")?;
        Ok(Self { postmaster, server, ticks_per_second: ticks as f64 })
    }

    /// The CPU time that they have used so far.
    pub(crate) fn read(&self) -> Result<CpuSeconds> {
        let seconds = |ticks: u64| ticks as f64 / self.ticks_per_second;
        let server = self.server.map_or(Ok(0), |pid| Ok::<_, anyhow::Error>(stat_of(pid)?.own_ticks))?;
        Ok(CpuSeconds {
            generator_s: seconds(stat_of(std::process::id())?.own_ticks),
            postgres_s: seconds(postgres_ticks(self.postmaster)?),
            server_s: seconds(server),
        })
    }
}

impl CpuSeconds {
    /// The CPU time used since an earlier reading.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            generator_s: self.generator_s - earlier.generator_s,
            postgres_s: self.postgres_s - earlier.postgres_s,
            server_s: self.server_s - earlier.server_s,
        }
    }
}

/// The fields of `/proc/PID/stat` that are used here.
#[derive(Debug, PartialEq)]
struct Stat {
    /// The id of the parent process.
    parent: u32,
    /// CPU time of the process itself.
    own_ticks: u64,
    /// CPU time of its children that have ended and were waited for.
    ended_children_ticks: u64,
}

/// The CPU time of the postmaster, of the backends that have ended, and of those that run. The kernel adds the time of a
/// backend to the postmaster's when it has ended, so each is counted once.
fn postgres_ticks(postmaster: u32) -> Result<u64> {
    let main = stat_of(postmaster)?;
    let mut ticks = main.own_ticks + main.ended_children_ticks;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A backend that ended since the directory was read is part of the postmaster's time at the next reading.
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        ticks += parse(&text).filter(|stat| stat.parent == postmaster).map_or(0, |stat| stat.own_ticks);
    }
    Ok(ticks)
}

fn stat_of(pid: u32) -> Result<Stat> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse(&text).with_context(|| format!("{path} cannot be parsed"))
}

/// Parses `/proc/PID/stat`. The process name in parentheses may itself hold parentheses and spaces, so fields are counted
/// from the last closing one.
fn parse(text: &str) -> Option<Stat> {
    let (_, after_name) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own_ticks: ticks(11)? + ticks(12)?,
        ended_children_ticks: ticks(13)? + ticks(14)?,
    })
}

/// The largest resident set of a process since it started or since [`reset_peak_rss`], in bytes.
pub(crate) fn peak_rss_bytes(pid: u32) -> Result<u64> {
    memory_of(pid, "VmHWM:")
}

/// The current resident set of a process, in bytes.
pub(crate) fn rss_bytes(pid: u32) -> Result<u64> {
    memory_of(pid, "VmRSS:")
}

/// Resets the peak resident set of a process to its current one.
pub(crate) fn reset_peak_rss(pid: u32) -> io::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5")
}

fn memory_of(pid: u32, name: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    kib_of(&text, name).map(|kib| kib * 1024).with_context(|| format!("{path} has no line {name}"))
}

fn kib_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let text = "42 (a ) b) S 7 42 42 0 -1 4194560 900 0 0 0 11 22 33 44 20 0 1 0 100 0 0\n";
        assert_eq!(parse(text), Some(Stat { parent: 7, own_ticks: 33, ended_children_ticks: 77 }));
        assert_eq!(parse("42 (short) S 7"), None);
    }

    #[test]
    fn memory_is_read_in_kib() {
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t1024 kB\n";
        assert_eq!(kib_of(status, "VmHWM:"), Some(2_048));
        assert_eq!(kib_of(status, "VmRSS:"), Some(1_024));
        assert_eq!(kib_of(status, "VmSwap:"), None);
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let me = std::process::id();
        let watched = WatchedProcesses::new(me, Some(me)).unwrap();
        let before = watched.read().unwrap();
        let used = watched.read().unwrap().since(before);
        assert!(used.server_s >= 0.0 && used.generator_s >= 0.0);
        assert!(peak_rss_bytes(me).unwrap() >= rss_bytes(me).unwrap() / 2);
    }
}
