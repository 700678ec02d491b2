//! Drives all connections that push from one thread with `ppoll`: it sends what is due and receives what has arrived.
//!
//! A thread for each connection would use more CPU. So would an async runtime (the figures are at [`crate::bench::http`]),
//! and its timers have a resolution of a millisecond, too coarse for a schedule of batches of one.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::pusher::Pusher;

/// Longest time in which no response arrives though some are awaited.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection and its state in the loop.
struct ConnectionState {
    pusher: Pusher,
    /// How many batches were sent.
    sent: u32,
    /// When the batch whose response is awaited was due. `None` if no response is awaited.
    awaited_since: Option<Instant>,
    /// Whether `due` has said that this connection has no further batch.
    is_done: bool,
}

/// Lets connections push until each has no further batch.
///
/// `due(index, number)` says when batch `number` of connection `index` is due, `None` if there is no further one. A batch
/// is sent when it is due and the one before it was acknowledged. `acknowledged(ops, due)` is called with the ops of each
/// acknowledged batch and with the time at which it was due.
pub(super) fn run(
    pushers: Vec<Pusher>,
    mut due: impl FnMut(usize, u32) -> Option<Instant>,
    mut acknowledged: impl FnMut(u64, Instant),
) -> Result<()> {
    let state = |pusher| ConnectionState { pusher, sent: 0, awaited_since: None, is_done: false };
    let mut connections: Vec<ConnectionState> = pushers.into_iter().map(state).collect();
    loop {
        let next_due = send_due(&mut connections, &mut due)?;
        let awaited = connections.iter().filter(|connection| connection.awaited_since.is_some());
        if next_due.is_none() && awaited.count() == 0 {
            return Ok(());
        }
        for index in wait(&connections, next_due)? {
            let connection = &mut connections[index];
            connection.pusher.receive()?;
            if let Some(since) = connection.awaited_since.take() {
                acknowledged(connection.pusher.batch_ops(), since);
            }
        }
    }
}

/// Sends every batch that is due on a connection that awaits no response. Returns when the next batch of such a connection
/// will be due.
fn send_due(
    connections: &mut [ConnectionState],
    due: &mut impl FnMut(usize, u32) -> Option<Instant>,
) -> Result<Option<Instant>> {
    let mut next_due: Option<Instant> = None;
    for (index, connection) in connections.iter_mut().enumerate() {
        if connection.awaited_since.is_some() || connection.is_done {
            continue;
        }
        match due(index, connection.sent) {
            None => connection.is_done = true,
            Some(at) if at <= Instant::now() => {
                connection.pusher.send()?;
                (connection.sent, connection.awaited_since) = (connection.sent + 1, Some(at));
            }
            Some(at) => next_due = Some(next_due.map_or(at, |next| next.min(at))),
        }
    }
    Ok(next_due)
}

/// Waits until a batch is due or a response has begun to arrive. Returns the indexes of the connections with a response.
fn wait(connections: &[ConnectionState], next_due: Option<Instant>) -> Result<Vec<usize>> {
    let is_awaiting = |index: &usize| connections[*index].awaited_since.is_some();
    let awaiting: Vec<usize> = (0..connections.len()).filter(is_awaiting).collect();
    let poll = |index: &usize| PollFd::new(connections[*index].pusher.as_fd(), PollFlags::POLLIN);
    let mut polled: Vec<PollFd<'_>> = awaiting.iter().map(poll).collect();
    let timeout = next_due.map_or(RESPONSE_TIMEOUT, |due| due.saturating_duration_since(Instant::now()));
    match ppoll(&mut polled, Some(TimeSpec::from_duration(timeout)), None) {
        Ok(0) => {
            ensure!(next_due.is_some(), "the server has sent no response for {} s", RESPONSE_TIMEOUT.as_secs());
            Ok(Vec::new())
        }
        Ok(_) => {
            let ready = awaiting.iter().zip(&polled).filter(|(_, polled)| polled.any().unwrap_or(true));
            Ok(ready.map(|(index, _)| *index).collect())
        }
        Err(Errno::EINTR) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}
