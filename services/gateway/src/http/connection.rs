//! The connection of a request: how many are open, and whether the client of one is still there.
//!
//! actix goes on with a request whose client has closed the connection. That is right for a push, which is stored whether or
//! not anybody reads the response, and wrong for a request that waits.

use std::any::Any;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use prometheus::IntGauge;
use tokio::time::interval;

/// How often a request that waits looks whether its client has closed the connection.
const CLOSED_POLL_INTERVAL: Duration = Duration::from_millis(500);

/// What poll(2) is asked for: that the client has closed its sending half. It reports a closed or failed connection unasked.
#[cfg(target_os = "linux")]
const HALF_CLOSED: PollFlags = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);
#[cfg(not(target_os = "linux"))]
const HALF_CLOSED: PollFlags = PollFlags::empty();

/// An open connection, kept beside its requests.
struct Connection {
    fd: RawFd,
    open: IntGauge,
    /// Not `Send`: it must not outlive the task that owns the socket.
    _not_send: PhantomData<*const ()>,
}

impl Connection {
    #[expect(unsafe_code, reason = "actix gives requests no access to their socket but its number")]
    fn is_closed(&self) -> bool {
        // SAFETY: only a request reaches this, by a reference. actix owns the requests of a connection and its socket
        // together, in one task, so the socket is open.
        let socket = unsafe { BorrowedFd::borrow_raw(self.fd) };
        poll(&mut [PollFd::new(socket, HALF_CLOSED)], PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// Prepares a new connection: without `TCP_NODELAY` the end of a response would wait until the client has acknowledged
/// what came before.
pub(crate) fn on_connect(connection: &dyn Any, beside: &mut Extensions, open: &IntGauge) {
    let Some(stream) = connection.downcast_ref::<TcpStream>() else { return };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was closed before its options could be set");
    }
    open.inc();
    beside.insert(Connection { fd: stream.as_raw_fd(), open: open.clone(), _not_send: PhantomData });
}

/// The client of a request.
pub(crate) struct Client(HttpRequest);

impl Client {
    pub(crate) fn of(request: &HttpRequest) -> Self {
        Self(request.clone())
    }

    /// Resolves when the client has closed the connection or its sending half: it wants no response that has to be waited
    /// for.
    pub(crate) async fn gone(&self) {
        let Some(connection) = self.0.conn_data::<Connection>() else { return std::future::pending().await };
        let mut ticks = interval(CLOSED_POLL_INTERVAL);
        loop {
            ticks.tick().await;
            if connection.is_closed() {
                return;
            }
        }
    }
}
