//! Ties a child process to this one, so that it goes however this one ends. Not Linux: a shell watches a pipe.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

/// Nothing can be done before the child runs.
pub(crate) fn tie(_command: &mut Command, _signal: Signal, _files: Vec<File>) {}

/// A shell that holds the other end of our pipe, which closes when this process ends, however that happens.
#[derive(Debug)]
pub(crate) struct Watch(Child);

impl Watch {
    /// Has process `pid` get `signal` when this process ends.
    pub(crate) fn over(pid: u32, signal: Signal) -> io::Result<Watch> {
        let mut shell = Command::new("/bin/sh");
        let (signal, pid) = ((signal as i32).to_string(), pid.to_string());
        shell.args(["-c", "read -r _; kill -\"$0\" \"$1\"", &signal, &pid]).current_dir("/").process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(Watch)
    }
}

impl Drop for Watch {
    /// To be dropped when the process watched over has ended: its id may soon be another's.
    fn drop(&mut self) {
        // It is our child and not yet reaped, so this can only fail if it has ended by itself.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}
