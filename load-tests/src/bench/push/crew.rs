//! All devices on one thread: it sends what is due and takes what has come. A thread for each, or a runtime with timers
//! of a millisecond, would cost the machine more, and be late.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::Pusher;

/// Longest wait for any answer.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A device, and what it is about.
struct Seat {
    pusher: Pusher,
    /// How many batches it has sent.
    sent: u32,
    /// When what it waits for was due.
    waits_since: Option<Instant>,
    /// Whether nothing else is due.
    is_done: bool,
}

/// Lets devices push until nothing is due any more. `due` says when batch number `n` of device `i` is to be sent, which
/// is not before the batch in front of it was answered; `answered` is told the ops of a batch and when it was due.
pub(super) fn run(
    pushers: Vec<Pusher>,
    mut due: impl FnMut(usize, u32) -> Option<Instant>,
    mut answered: impl FnMut(u64, Instant),
) -> Result<()> {
    let seat = |pusher| Seat { pusher, sent: 0, waits_since: None, is_done: false };
    let mut seats: Vec<Seat> = pushers.into_iter().map(seat).collect();
    loop {
        let next_due = send_due(&mut seats, &mut due)?;
        let waiting = seats.iter().filter(|seat| seat.waits_since.is_some());
        if next_due.is_none() && waiting.count() == 0 {
            return Ok(());
        }
        for index in wait(&seats, next_due)? {
            let seat = &mut seats[index];
            seat.pusher.receive()?;
            if let Some(since) = seat.waits_since.take() {
                answered(seat.pusher.pushing.batch, since);
            }
        }
    }
}

/// Sends what is due; when the next is, of the devices that wait for no answer.
fn send_due(seats: &mut [Seat], due: &mut impl FnMut(usize, u32) -> Option<Instant>) -> Result<Option<Instant>> {
    let mut next_due: Option<Instant> = None;
    for (index, seat) in seats.iter_mut().enumerate() {
        if seat.waits_since.is_some() || seat.is_done {
            continue;
        }
        match due(index, seat.sent) {
            None => seat.is_done = true,
            Some(at) if at <= Instant::now() => {
                seat.pusher.send()?;
                (seat.sent, seat.waits_since) = (seat.sent + 1, Some(at));
            }
            Some(at) => next_due = Some(next_due.map_or(at, |next| next.min(at))),
        }
    }
    Ok(next_due)
}

/// Waits until something is due or an answer has come; whose.
fn wait(seats: &[Seat], next_due: Option<Instant>) -> Result<Vec<usize>> {
    let waiting: Vec<usize> = (0..seats.len()).filter(|index| seats[*index].waits_since.is_some()).collect();
    let poll = |index: &usize| PollFd::new(seats[*index].pusher.connection.as_fd(), PollFlags::POLLIN);
    let mut polled: Vec<PollFd<'_>> = waiting.iter().map(poll).collect();
    let time = next_due.map_or(SILENCE_MAX, |due| due.saturating_duration_since(Instant::now()));
    match ppoll(&mut polled, Some(TimeSpec::from_duration(time)), None) {
        Ok(0) => {
            ensure!(next_due.is_some(), "the server does not answer after {} s", SILENCE_MAX.as_secs());
            Ok(Vec::new())
        }
        Ok(_) => {
            let ready = waiting.iter().zip(&polled).filter(|(_, polled)| polled.any().unwrap_or(true));
            Ok(ready.map(|(index, _)| *index).collect())
        }
        Err(Errno::EINTR) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}
