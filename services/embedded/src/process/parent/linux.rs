//! Linux: the kernel signals the child when the thread that spawned it ends.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid};

/// Lets the kernel send `signal` to the child of `command` when the *thread* that spawns it ends. Also keeps `files` open
/// in the child.
#[expect(unsafe_code, reason = "only between fork and exec can a process ask for its parent-death signal")]
pub(crate) fn tie(command: &mut Command, signal: Signal, files: Vec<File>) {
    let parent = getpid();
    let in_child = move || -> io::Result<()> {
        for file in &files {
            fcntl(file, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        // This runs after the change of user, which would clear the setting.
        prctl::set_pdeathsig(signal)?;
        // A parent that died before that call sends no signal any more.
        if getppid() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: the closure makes three system calls, allocates nothing and takes no lock, so it may run in the child of a
    // process with other threads.
    unsafe { command.pre_exec(in_child) };
}

/// Does nothing: the kernel watches the parent.
#[derive(Debug)]
pub(crate) struct ParentWatch;

impl ParentWatch {
    /// Does nothing; see `other.rs` for the systems where it does.
    pub(crate) fn start(_pid: u32, _signal: Signal) -> io::Result<ParentWatch> {
        Ok(ParentWatch)
    }
}
