//! Starts the server process, waits until it is ready, and stops it.

use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::binaries::Binaries;
use crate::data_dir::DataDir;
use crate::data_dir::pidfile::{self, Status};
use crate::data_dir::private_dir;
use crate::process::log::Log;
use crate::process::parent::{self, Watch};
use crate::user::{self, OsUser};
use crate::{Durability, EmbeddedError, PORT};

/// How often to look, wherever there is nothing to wait on.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How long a server may take to get ready.
const READY_TIME_MAX: Duration = Duration::from_secs(60);
/// The same while it says that it is starting: recovery after a crash replays the WAL since the last checkpoint.
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(300);
/// How long a stop may take, which is a checkpoint; within what container platforms usually allow.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);

/// All it takes to start a server.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) home: DataDir,
    pub(crate) binaries: Binaries,
    pub(crate) user: Option<OsUser>,
    pub(crate) socket_dir: std::path::PathBuf,
    pub(crate) durability: Durability,
    pub(crate) max_connections: u32,
}

/// A server process; to be used and dropped by the thread that spawned it, see [`parent::tie`].
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    log: Log,
    _watch: Watch,
}

impl Launch {
    /// Starts the process.
    pub(crate) fn spawn(&self) -> Result<Server, EmbeddedError> {
        let (postgres, user) = (self.binaries.postgres(), self.user.as_ref());
        let log = Log::open(&self.home)?;
        let pgdata = private_dir::open_door(&self.home.pgdata(), user, &postgres)?;
        let socket = private_dir::open_door(&self.socket_dir, user, &postgres)?;
        let mut command = user::command(&postgres, user);
        command.arg("-D").arg(&pgdata.path);
        self.configure(&mut command, &socket.path);
        command.stdout(log.writer()?).stderr(log.writer()?);
        parent::tie(&mut command, Signal::SIGINT, [pgdata.file, socket.file].into_iter().flatten().collect());
        let mut child = command.spawn().map_err(EmbeddedError::io("run", &postgres))?;
        match Watch::over(child.id(), Signal::SIGINT) {
            Ok(watch) => Ok(Server { child, log, _watch: watch }),
            Err(error) => {
                let _ = child.kill().and_then(|()| child.wait());
                Err(EmbeddedError::io("watch over", &postgres)(error))
            }
        }
    }

    /// On the command line, where neither the cluster's files nor ALTER SYSTEM overrule it.
    fn configure(&self, command: &mut Command, socket_dir: &Path) {
        let durable = if self.durability == Durability::Full { "on" } else { "off" };
        // A list of quoted names.
        let socket_dir = format!("\"{}\"", socket_dir.to_string_lossy().replace('"', "\"\""));
        let settings = [
            ("listen_addresses", ""),
            ("port", &PORT.to_string()),
            ("unix_socket_directories", &socket_dir),
            ("unix_socket_permissions", "0700"),
            ("fsync", durable),
            ("synchronous_commit", durable),
            ("full_page_writes", durable),
            ("max_connections", &self.max_connections.to_string()),
            ("log_destination", "stderr"),
            ("logging_collector", "off"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
        ];
        for (name, value) in settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
    }
}

impl Server {
    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it answers queries.
    pub(crate) fn wait_ready(&mut self, home: &DataDir) -> Result<(), EmbeddedError> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Err(self.exited(status));
            }
            // The file may still be that of a server before this one.
            let own = pidfile::read(&home.pgdata())?.filter(|server| server.pid == self.pid());
            let time_max = match own.map(|server| server.status) {
                Some(Status::Ready) => return Ok(()),
                Some(Status::Starting) => RECOVERY_TIME_MAX,
                Some(Status::Other) | None => READY_TIME_MAX,
            };
            if begin.elapsed() >= time_max {
                let (detail, log) = (self.log.tail(), self.log.path());
                return Err(EmbeddedError::NotReady { waited_s: time_max.as_secs(), detail, log });
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Stops it: connections are ended, nothing committed is lost. Killed if that takes too long.
    pub(crate) fn stop(mut self) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + STOP_TIME_MAX;
        let mut told = false;
        loop {
            match self.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.exited(status)),
                None if Instant::now() >= deadline => break,
                None if !told => {
                    // Our child, and not reaped, so the id is still its own.
                    let _ = kill(Pid::from_raw(self.pid().cast_signed()), Signal::SIGINT);
                    told = true;
                }
                None => std::thread::sleep(POLL_INTERVAL),
            }
        }
        let _ = self.child.kill().and_then(|()| self.child.wait());
        Err(EmbeddedError::Killed { waited_s: STOP_TIME_MAX.as_secs(), log: self.log.path() })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, EmbeddedError> {
        self.child.try_wait().map_err(EmbeddedError::io("wait for the server of", &self.log.path()))
    }

    /// The error of a server that has ended.
    pub(crate) fn exited(&self, status: ExitStatus) -> EmbeddedError {
        EmbeddedError::Exited { status: status.to_string(), detail: self.log.tail(), log: self.log.path() }
    }
}
