//! Response bodies that are sent in pieces of a size that suits a socket.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

/// Size of one write to the socket. Much larger ones are copied through memory that no longer fits the CPU caches.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// Cuts parts of a body into pieces, without copying them.
pub(crate) fn pieces(parts: Vec<Bytes>) -> impl Iterator<Item = Bytes> {
    parts.into_iter().flat_map(|mut part| {
        std::iter::from_fn(move || (!part.is_empty()).then(|| part.split_to(part.len().min(PIECE_BYTES_MAX))))
    })
}

/// A body of known size in pieces. Its parts are never copied into one buffer.
pub(crate) struct Pieces {
    left: VecDeque<Bytes>,
    bytes: u64,
}

impl Pieces {
    pub(crate) fn of(parts: Vec<Bytes>) -> Self {
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        Self { left: pieces(parts).collect(), bytes }
    }
}

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.bytes)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(self.left.pop_front().map(Ok))
    }
}
