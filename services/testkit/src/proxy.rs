//! A network that breaks: a TCP proxy that cuts connections after a random number of bytes in either direction, so also
//! between a commit and its answer.

use std::net::SocketAddr;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A proxy before a server. It stops when dropped.
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

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes bytes both ways until one direction has passed its number of them.
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
