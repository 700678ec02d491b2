//! Finds a server that already runs, for a command beside `serve`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::data_dir::DataDir;
use crate::data_dir::pidfile::{self, Status};
use crate::{EmbeddedError, socket};

/// How long a server that says it is ready may take for its first byte.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// The protocol's question whether the server speaks TLS: the shortest one that needs no user and no database.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// The socket's directory and the process id of the server that runs in `data_dir`; `None` if none is ready there.
pub(crate) fn find(data_dir: &Path) -> Result<Option<(PathBuf, u32)>, EmbeddedError> {
    let Some(home) = DataDir::open(data_dir)? else { return Ok(None) };
    let server = pidfile::read_running(&home.pgdata())?.filter(|server| server.status == Status::Ready);
    let Some(server) = server else { return Ok(None) };
    let socket_dir = socket::of_running(&home)?;
    Ok(answers(&socket::file(&socket_dir)).then_some((socket_dir, server.pid)))
}

fn answers(socket: &Path) -> bool {
    let ask = || -> std::io::Result<u8> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
        stream.write_all(&SSL_REQUEST)?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        Ok(answer[0])
    };
    matches!(ask(), Ok(b'S' | b'N'))
}
