//! Networks that break. One TCP proxy cuts connections after a random number of bytes in either direction, so also between
//! a commit and its response. The other one cuts when the test asks for it.

use std::net::SocketAddr;
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::cluster::TestDatabase;

/// A proxy in front of a server. It stops when dropped.
pub struct FaultProxy {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// Cuts every connection after up to `cut_bytes_max` bytes, drawn from `seed`.
    pub async fn start(server: SocketAddr, seed: u64, cut_bytes_max: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("its address");
        let mut random = StdRng::seed_from_u64(seed);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (up, down) = (random.random_range(1..cut_bytes_max), random.random_range(1..cut_bytes_max));
                tokio::spawn(pass(client, server, up, down));
            }
        });
        Self { address, task }
    }

    /// The address to which clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A proxy in front of a test's database. When it cuts a connection, Postgres finishes the statement that it is running, and
/// the client does not learn the outcome. The proxy stops when dropped.
pub struct DatabaseProxy {
    url: String,
    cuts: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl DatabaseProxy {
    /// A proxy that passes everything on until [`DatabaseProxy::cut`].
    pub async fn start(database: &TestDatabase) -> Self {
        let config: Config = database.url().parse().expect("the URL of a test database");
        let [Host::Unix(dir)] = config.get_hosts() else { panic!("the tests' cluster has a Unix socket") };
        let port = config.get_ports().first().expect("a port");
        let socket = dir.join(format!(".s.PGSQL.{port}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let (user, name) = (config.get_user().expect("a user"), config.get_dbname().expect("a database"));
        let url = format!("postgresql://{user}@{}/{name}", listener.local_addr().expect("its address"));
        let (cuts, cut) = watch::channel(0);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut cut = cut.clone();
                // This connection is cut by later calls of `cut` alone.
                cut.mark_unchanged();
                tokio::spawn(pass_on(client, socket.clone(), cut));
            }
        });
        Self { url, cuts, task }
    }

    /// The database's URL through the proxy, for its owner.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Cuts every open connection. Later ones are passed on again.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for DatabaseProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes bytes both ways until one side ends or the connection is cut.
async fn pass_on(mut client: TcpStream, socket: PathBuf, mut cut: watch::Receiver<u64>) {
    let Ok(mut server) = UnixStream::connect(socket).await else { return };
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    tokio::select! {
        () = copy(client_read, server_write, u64::MAX) => {}
        () = copy(server_read, client_write, u64::MAX) => {}
        // Also ends, by an error, when the proxy is dropped.
        _ = cut.changed() => {}
    }
}

/// Passes bytes both ways until one direction has passed its limit.
async fn pass(mut client: TcpStream, server: SocketAddr, up: u64, down: u64) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    tokio::select! {
        () = copy(client_read, server_write, up) => {}
        () = copy(server_read, client_write, down) => {}
    }
}

async fn copy(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, mut left: u64) {
    let mut buffer = [0; 4_096];
    while left > 0 {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        let count = count.min(usize::try_from(left).unwrap_or(usize::MAX));
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        left -= count as u64;
    }
}
