//! Ties a child process to this one, so that it goes however this one ends. Linux: the kernel does it.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid};

/// Has the child of `command` get `signal` when the *thread* that spawns it ends, and keeps `files` open in it.
#[expect(unsafe_code, reason = "only between fork and exec can a process ask for its parent-death signal")]
pub(crate) fn tie(command: &mut Command, signal: Signal, files: Vec<File>) {
    let parent = getpid();
    let in_child = move || -> io::Result<()> {
        for file in &files {
            fcntl(file, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        // After the change of user, which would take it away again.
        prctl::set_pdeathsig(signal)?;
        // A parent that died before that call sends no signal any more.
        if getppid() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: the closure makes three system calls, allocates nothing and takes no lock, so it may run in the child of a
    // process with other threads.
    unsafe { command.pre_exec(in_child) };
}

/// Nothing is left to do once the child runs.
#[derive(Debug)]
pub(crate) struct Watch;

impl Watch {
    /// See `other.rs`.
    pub(crate) fn over(_pid: u32, _signal: Signal) -> io::Result<Watch> {
        Ok(Watch)
    }
}
