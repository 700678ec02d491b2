//! Finds a server that already runs, for commands beside `serve`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::EmbeddedError;
use crate::data_dir::pidfile::{self, Status};
use crate::data_dir::{DataDir, socket};

/// How long a server that reports itself ready may take to send its first byte.
const RESPONSE_TIME_MAX: Duration = Duration::from_secs(5);
/// The protocol's `SSLRequest`: the shortest message to which a server responds without a user and a database.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// The socket directory and process id of the server that runs in the data directory at `path`; `None` if none is ready.
pub(crate) fn find(path: &Path) -> Result<Option<(PathBuf, u32)>, EmbeddedError> {
    let Some(data_dir) = DataDir::open(path)? else { return Ok(None) };
    let server = pidfile::read_running(&data_dir.pgdata())?.filter(|server| server.status == Status::Ready);
    let Some(server) = server else { return Ok(None) };
    let socket_dir = socket::dir_of_running(&data_dir)?;
    Ok(responds(&socket::file(&socket_dir)).then_some((socket_dir, server.pid)))
}

/// Whether a Postgres responds on a socket.
fn responds(socket: &Path) -> bool {
    let ask = || -> std::io::Result<u8> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(RESPONSE_TIME_MAX))?;
        stream.set_write_timeout(Some(RESPONSE_TIME_MAX))?;
        stream.write_all(&SSL_REQUEST)?;
        let mut response = [0];
        stream.read_exact(&mut response)?;
        Ok(response[0])
    };
    matches!(ask(), Ok(b'S' | b'N'))
}
