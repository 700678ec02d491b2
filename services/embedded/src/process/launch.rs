//! Starts the server process, waits until it is ready, and stops it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::binaries::Binaries;
use crate::data_dir::pidfile::{self, Status};
use crate::data_dir::{DataDir, private_dir};
use crate::process::POLL_INTERVAL;
use crate::process::log::ServerLog;
use crate::process::parent::{self, ParentWatch};
use crate::user::{self, OsUser};
use crate::{Durability, EmbeddedError, PORT};

/// How long a server may take to be ready.
const READY_TIME_MAX: Duration = Duration::from_secs(60);
/// The same while it reports that it is starting: recovery after a crash replays the WAL since the last checkpoint.
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(300);
/// How long a stop may take, which includes a checkpoint. Container platforms usually allow that much.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
/// Asks Postgres for a fast shutdown: connections are ended, and nothing that was committed is lost.
const STOP_SIGNAL: Signal = Signal::SIGINT;

/// Everything that starting a server needs.
#[derive(Debug)]
pub(crate) struct LaunchConfig {
    pub(crate) data_dir: DataDir,
    pub(crate) binaries: Binaries,
    pub(crate) user: Option<OsUser>,
    pub(crate) socket_dir: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) max_connections: u32,
}

/// A server process. To be used and dropped by the thread that spawned it, see [`parent::tie`].
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Child,
    log: ServerLog,
    _parent_watch: ParentWatch,
}

impl LaunchConfig {
    /// Starts the process.
    pub(crate) fn spawn(&self) -> Result<ServerProcess, EmbeddedError> {
        let (postgres, user) = (self.binaries.postgres(), self.user.as_ref());
        let log = ServerLog::open(&self.data_dir)?;
        let pgdata = private_dir::prepare(&self.data_dir.pgdata(), user, &postgres)?;
        let socket_dir = private_dir::prepare(&self.socket_dir, user, &postgres)?;
        let mut command = user::command(&postgres, user);
        command.arg("-D").arg(&pgdata.path);
        self.add_settings(&mut command, &socket_dir.path);
        command.stdout(log.writer()?).stderr(log.writer()?);
        let open_files = [pgdata.open_file, socket_dir.open_file].into_iter().flatten().collect();
        parent::tie(&mut command, STOP_SIGNAL, open_files);
        let mut child = command.spawn().map_err(EmbeddedError::io("run", &postgres))?;
        match ParentWatch::start(child.id(), STOP_SIGNAL) {
            Ok(parent_watch) => Ok(ServerProcess { child, log, _parent_watch: parent_watch }),
            Err(error) => {
                let _ = child.kill().and_then(|()| child.wait());
                Err(EmbeddedError::io("watch over", &postgres)(error))
            }
        }
    }

    /// Adds the settings to the command line, where neither the cluster's files nor ALTER SYSTEM can override them.
    fn add_settings(&self, command: &mut Command, socket_dir: &Path) {
        let durable = if self.durability == Durability::Full { "on" } else { "off" };
        // The setting is a list of quoted names.
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

impl ServerProcess {
    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the server accepts queries.
    pub(crate) fn wait_ready(&mut self, data_dir: &DataDir) -> Result<(), EmbeddedError> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.exit_status()? {
                return Err(self.exited(status));
            }
            // The file may still be that of an earlier server.
            let own = pidfile::read(&data_dir.pgdata())?.filter(|server| server.pid == self.pid());
            let time_max = match own.map(|server| server.status) {
                Some(Status::Ready) => return Ok(()),
                Some(Status::Starting) => RECOVERY_TIME_MAX,
                Some(Status::Other) | None => READY_TIME_MAX,
            };
            if began.elapsed() >= time_max {
                let (detail, log) = (self.log.tail(), self.log.path());
                return Err(EmbeddedError::NotReady { waited_s: time_max.as_secs(), detail, log });
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Stops the server: ends its connections, and loses nothing that was committed. Kills it if that takes too long.
    pub(crate) fn stop(mut self) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + STOP_TIME_MAX;
        let mut is_signalled = false;
        loop {
            match self.exit_status()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.exited(status)),
                None if Instant::now() >= deadline => break,
                None if !is_signalled => {
                    // The id is still our child's, since nobody has reaped it.
                    let _ = kill(Pid::from_raw(self.pid().cast_signed()), STOP_SIGNAL);
                    is_signalled = true;
                }
                None => std::thread::sleep(POLL_INTERVAL),
            }
        }
        let _ = self.child.kill().and_then(|()| self.child.wait());
        Err(EmbeddedError::Killed { waited_s: STOP_TIME_MAX.as_secs(), log: self.log.path() })
    }

    /// The exit status, if the server has ended.
    pub(crate) fn exit_status(&mut self) -> Result<Option<ExitStatus>, EmbeddedError> {
        self.child.try_wait().map_err(EmbeddedError::io("wait for the server of", &self.log.path()))
    }

    /// The error for a server that has ended with `status`.
    pub(crate) fn exited(&self, status: ExitStatus) -> EmbeddedError {
        let (status, log) = (status.to_string(), self.log.path());
        match self.log.names_full_disk() {
            true => EmbeddedError::DiskFull { status, log },
            false => EmbeddedError::Exited { status, detail: self.log.tail(), log },
        }
    }
}
