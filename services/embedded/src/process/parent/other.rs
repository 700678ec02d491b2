//! Systems other than Linux: a shell waits for the end of a pipe, which closes when this process ends.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

/// Does nothing: the child is tied by [`ParentWatch::start`] once it runs.
pub(crate) fn tie(_command: &mut Command, _signal: Signal, _files: Vec<File>) {}

/// A shell that reads from a pipe whose other end this process holds.
#[derive(Debug)]
pub(crate) struct ParentWatch(Child);

impl ParentWatch {
    /// Starts a shell that sends `signal` to process `pid` when this process ends.
    pub(crate) fn start(pid: u32, signal: Signal) -> io::Result<ParentWatch> {
        let mut shell = Command::new("/bin/sh");
        let (signal, pid) = ((signal as i32).to_string(), pid.to_string());
        shell.args(["-c", "read -r _; kill -\"$0\" \"$1\"", &signal, &pid]).current_dir("/").process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(ParentWatch)
    }
}

impl Drop for ParentWatch {
    /// Ends the shell. To be dropped when the process that it would signal has ended, since its id may soon be another's.
    fn drop(&mut self) {
        // The shell is our child and not yet reaped, so this can only fail if it has ended by itself.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}
