//! CPU time of the processes that share the machine, as Linux counts it in `/proc`.

use std::fs;
use std::io;

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};

/// Whose time is counted: this process, Postgres with all its children, and a server if there is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watched {
    postmaster: u32,
    server: Option<u32>,
    ticks_per_second: f64,
}

/// CPU seconds, user and system together, since each process began.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cpu {
    /// Of this process.
    pub(crate) generator_s: f64,
    /// Of the postmaster and every backend it ever had.
    pub(crate) postgres_s: f64,
    /// Of the server; 0 without one.
    pub(crate) server_s: f64,
}

impl Watched {
    /// Watches these processes.
    pub(crate) fn new(postmaster: u32, server: Option<u32>) -> Result<Self> {
        let ticks = sysconf(SysconfVar::CLK_TCK)?.context("the system tells no length of a clock tick")?;
        Ok(Self { postmaster, server, ticks_per_second: ticks as f64 })
    }

    /// The time they have used so far.
    pub(crate) fn read(&self) -> Result<Cpu> {
        let seconds = |ticks: u64| ticks as f64 / self.ticks_per_second;
        let server = self.server.map_or(Ok(0), |pid| Ok::<_, anyhow::Error>(stat_of(pid)?.own_ticks))?;
        Ok(Cpu {
            generator_s: seconds(stat_of(std::process::id())?.own_ticks),
            postgres_s: seconds(postgres_ticks(self.postmaster)?),
            server_s: seconds(server),
        })
    }
}

impl Cpu {
    /// What was used since an earlier reading.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            generator_s: self.generator_s - earlier.generator_s,
            postgres_s: self.postgres_s - earlier.postgres_s,
            server_s: self.server_s - earlier.server_s,
        }
    }
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, PartialEq)]
struct Stat {
    parent: u32,
    /// Its own time.
    own_ticks: u64,
    /// That of its children which have ended and been waited for.
    ended_children_ticks: u64,
}

/// The postmaster's own time, that of the backends it has waited for, and that of each that still runs: a backend is in
/// one of the two at any moment.
fn postgres_ticks(postmaster: u32) -> Result<u64> {
    let main = stat_of(postmaster)?;
    let mut ticks = main.own_ticks + main.ended_children_ticks;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // One that ended since the directory was read counts with its parent the next time.
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        ticks += parse(&text).filter(|stat| stat.parent == postmaster).map_or(0, |stat| stat.own_ticks);
    }
    Ok(ticks)
}

fn stat_of(pid: u32) -> Result<Stat> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse(&text).with_context(|| format!("{path} cannot be read"))
}

/// The name in parentheses may hold anything, so fields are counted after its last one.
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

/// The largest resident set of a process since it began or since [`forget_peak`], in bytes.
pub(crate) fn peak_rss_bytes(pid: u32) -> Result<u64> {
    memory_of(pid, "VmHWM:")
}

/// The resident set of a process now, in bytes.
pub(crate) fn rss_bytes(pid: u32) -> Result<u64> {
    memory_of(pid, "VmRSS:")
}

/// Lets the peak of a process begin at what it has now.
pub(crate) fn forget_peak(pid: u32) -> io::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5")
}

fn memory_of(pid: u32, name: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    kib_of(&text, name).map(|kib| kib * 1024).with_context(|| format!("{path} has no {name}"))
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
        let watched = Watched::new(me, Some(me)).unwrap();
        let before = watched.read().unwrap();
        let used = watched.read().unwrap().since(before);
        assert!(used.server_s >= 0.0 && used.generator_s >= 0.0);
        assert!(peak_rss_bytes(me).unwrap() >= rss_bytes(me).unwrap() / 2);
    }
}
