//! The connection of a request: how many are open, and whether the client of one is still there.
//!
//! actix goes on with a request whose client has closed the connection. That is right for a push, which is stored whether or
//! not anybody reads the response, and wrong for a request that waits.

use std::cell::Cell;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use actix_web::web::Data;
use actix_web::{HttpRequest, ResponseError};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};
use prometheus::IntGauge;
use tidelog_core::error::Code;
use tokio::time::interval;

use crate::gateway::Gateway;
use crate::http::error::ApiError;

/// How often a request that waits looks whether its client has closed the connection.
const CLOSED_POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Pieces of 4 KiB that are read and dropped before a connection is closed.
const UNREAD_PIECES_MAX: usize = 64;

/// What poll(2) is asked for: that the client has closed its sending half. It reports a closed or failed connection unasked.
#[cfg(target_os = "linux")]
const HALF_CLOSED: PollFlags = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);
#[cfg(not(target_os = "linux"))]
const HALF_CLOSED: PollFlags = PollFlags::empty();

/// An open connection, kept beside its requests.
///
/// It is only handed out in an [`Rc`], so it stays in the task that owns the socket.
pub(crate) struct Connection {
    fd: RawFd,
    open: IntGauge,
    is_ending: Cell<bool>,
    has_ended: Cell<bool>,
}

impl Connection {
    /// Counts a new connection, and prepares it: without `TCP_NODELAY` the end of a response would wait until the client has
    /// acknowledged what came before.
    pub(crate) fn opened(stream: &TcpStream, open: &IntGauge) -> Rc<Self> {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was closed before its options could be set");
        }
        open.inc();
        let (is_ending, has_ended) = (Cell::new(false), Cell::new(false));
        Rc::new(Self { fd: stream.as_raw_fd(), open: open.clone(), is_ending, has_ended })
    }

    #[expect(unsafe_code, reason = "actix gives requests no access to their socket but its number")]
    fn is_closed(&self) -> bool {
        // SAFETY: only a request reaches this, by a reference. actix owns the requests of a connection and its socket
        // together, in one task, so the socket is open.
        let socket = unsafe { BorrowedFd::borrow_raw(self.fd) };
        poll(&mut [PollFd::new(socket, HALF_CLOSED)], PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Makes the response under way the connection's last one. Requests behind it are not looked at.
    ///
    /// By itself actix would serve what the client has pipelined behind a refusal with `Connection: close`, such as a push.
    pub(crate) async fn end_with_this_response(&self) {
        self.is_ending.set(true);
        // actix looks whether the connection has ended before it goes on with a request. It may have to go on with this one
        // more than once until it looks.
        let ended = |context: &mut Context<'_>| match self.has_ended.get() {
            true => Poll::Ready(()),
            false => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        };
        std::future::poll_fn(ended).await
    }

    /// Resolves once the response under way is the last one: by the request itself, or because the server stops.
    pub(crate) async fn ended(&self, stopping: impl Future<Output = ()>) {
        let is_ending = |_: &mut Context<'_>| if self.is_ending.get() { Poll::Ready(()) } else { Poll::Pending };
        tokio::select! {
            () = std::future::poll_fn(is_ending) => {}
            () = stopping => {}
        }
        self.has_ended.set(true);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// The response that a request with a chunked body still has to get. Dropped before that, it refuses the request for
/// malformed chunks.
///
/// actix takes malformed chunks for a lost connection: it drops the request, whatever that waits for, and the socket after
/// it.
pub(crate) struct OwedResponse {
    connection: Rc<Connection>,
    gateway: Data<Gateway>,
    is_given: bool,
}

impl OwedResponse {
    pub(crate) fn new(connection: Rc<Connection>, gateway: Data<Gateway>) -> Self {
        Self { connection, gateway, is_given: false }
    }

    /// Notes that actix has the response now.
    pub(crate) fn given(mut self) {
        self.is_given = true;
    }
}

impl Drop for OwedResponse {
    fn drop(&mut self) {
        // A request is also dropped by a panic and when the server stops. Neither is the client's fault.
        if self.is_given || std::thread::panicking() || self.gateway.is_stopping() {
            return;
        }
        let refusal = ApiError::new(Code::EncodingCorrupt, "the chunks of the body are malformed");
        let (status, body) = (refusal.status_code(), refusal.problem_json());
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let fd = self.connection.fd;
        let sent = send(fd, &[head.as_bytes(), &body].concat(), MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
        if sent.is_err() || shutdown(fd, Shutdown::Write).is_err() {
            // The client is gone.
            return;
        }
        // Bytes that nobody has read would make the system reset the connection, and the client lose the response.
        let mut rest = [0; 4_096];
        for _ in 0..UNREAD_PIECES_MAX {
            if !recv(fd, &mut rest, MsgFlags::MSG_DONTWAIT).is_ok_and(|bytes| bytes > 0) {
                break;
            }
        }
        tracing::info!(http.status = status.as_u16(), "a request with malformed chunks was refused");
    }
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
        let Some(connection) = self.0.conn_data::<Rc<Connection>>() else { return std::future::pending().await };
        let mut ticks = interval(CLOSED_POLL_INTERVAL);
        loop {
            ticks.tick().await;
            if connection.is_closed() {
                return;
            }
        }
    }
}
