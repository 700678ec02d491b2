//! HTTP/1.1 with as little work of our own as can be: one kept connection, blocking, requests that were put together
//! before. Who measures must not take the machine from what is measured.

mod chunked;
mod head;

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use self::chunked::Chunked;
use self::head::{Body, Head, head_of};

/// Longest wait for anything from the server.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Bytes of one read at most.
const READ_BYTES: usize = 256 * 1024;
/// Bytes of an answer in an error.
const EXCERPT_BYTES: usize = 300;

/// A connection to the server.
pub(crate) struct Connection {
    stream: TcpStream,
    /// What was read; what is before `taken` belongs to earlier answers.
    buffer: Vec<u8>,
    filled: usize,
    taken: usize,
}

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Its status.
    pub(crate) status: u16,
    excerpt: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered {}: {}", self.status, self.excerpt)
    }
}

impl std::error::Error for Refused {}

/// A request without a body.
pub(crate) fn get(path: &str, token: &str, accept: &str) -> Vec<u8> {
    let credential = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    format!("GET {path} HTTP/1.1\r\nhost: tidelog\r\n{credential}accept: {accept}\r\n\r\n").into_bytes()
}

/// A request with a body; the answer is asked for in the same encoding.
pub(crate) fn post(path: &str, token: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: tidelog\r\nauthorization: Bearer {token}\r\ncontent-type: {media_type}\r\n\
         accept: {media_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The address in `http://address`.
pub(crate) fn address_of(url: &str) -> Result<SocketAddr> {
    url.trim_start_matches("http://").parse().with_context(|| format!("{url} is no address"))
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        Ok(Self { stream, buffer: Vec::new(), filled: 0, taken: 0 })
    }

    /// Sends a request and reads its answer, which has to be a success, whole; its body.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.send(request)?;
        self.receive()
    }

    /// Sends a request, whose answer is to be received before the next.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<()> {
        // Whatever came was taken: the next answer begins at the front.
        ensure!(self.taken == self.filled, "the server sent more than it was asked for");
        (self.taken, self.filled) = (0, 0);
        self.stream.write_all(request).context("sending a request")
    }

    /// Reads the answer to what was sent, which has to be a success, whole; its body.
    pub(crate) fn receive(&mut self) -> Result<&[u8]> {
        let head = self.head()?;
        let begin = self.taken + head.bytes;
        match head.body {
            Body::Length(length) => {
                self.read_to(begin + length)?;
                self.taken = begin + length;
                let body = &self.buffer[begin..begin + length];
                succeeded(head.status, body)?;
                Ok(body)
            }
            Body::Chunked => {
                let mut body = Vec::new();
                self.taken = begin;
                self.read_chunks(|piece| {
                    body.extend_from_slice(piece);
                    Ok(())
                })?;
                succeeded(head.status, &body)?;
                // After the end of an answer nothing else is in the buffer.
                (self.buffer, self.filled, self.taken) = (body, 0, 0);
                Ok(&self.buffer)
            }
        }
    }

    /// Sends a request whose answer is streamed, and hands over its body piece by piece as it comes.
    pub(crate) fn stream(&mut self, request: &[u8], take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.send(request)?;
        let head = self.head()?;
        let begin = self.taken + head.bytes;
        if head.status != 200 || head.body != Body::Chunked {
            let length = if let Body::Length(length) = head.body { length } else { 0 };
            self.read_to(begin + length)?;
            succeeded(head.status, &self.buffer[begin..begin + length])?;
            bail!("the answer is not streamed");
        }
        self.taken = begin;
        self.read_chunks(take)
    }

    fn head(&mut self) -> Result<Head> {
        loop {
            self.read()?;
            if let Some(head) = head_of(&self.buffer[..self.filled])? {
                return Ok(head);
            }
        }
    }

    /// What to poll: readable once an answer begins to come.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Reads until so many bytes are in the buffer.
    fn read_to(&mut self, end: usize) -> Result<()> {
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        while self.filled < end {
            let count = self.stream.read(&mut self.buffer[self.filled..end]).context("reading an answer")?;
            ensure!(count > 0, "the server hung up within an answer");
            self.filled += count;
        }
        Ok(())
    }

    fn read_chunks(&mut self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut chunks = Chunked::default();
        loop {
            self.taken += chunks.feed(&self.buffer[self.taken..self.filled], &mut take)?;
            if chunks.has_ended() {
                return Ok(());
            }
            if self.taken == self.filled {
                (self.taken, self.filled) = (0, 0);
            }
            self.read()?;
        }
    }

    /// Reads what there is, at least a byte.
    fn read(&mut self) -> Result<()> {
        if self.buffer.len() < self.filled + READ_BYTES {
            self.buffer.resize(self.filled + READ_BYTES, 0);
        }
        let count = self.stream.read(&mut self.buffer[self.filled..]).context("reading an answer")?;
        ensure!(count > 0, "the server hung up");
        self.filled += count;
        Ok(())
    }
}

fn succeeded(status: u16, body: &[u8]) -> Result<()> {
    let excerpt = || body[..body.len().min(EXCERPT_BYTES)].escape_ascii().to_string();
    if status == 200 { Ok(()) } else { Err(Refused { status, excerpt: excerpt() }.into()) }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    /// A server that gives one answer after another on one connection.
    fn answering(answers: &'static [&'static str]) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for answer in answers {
                while !lines.next().unwrap().unwrap().is_empty() {}
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        Connection::open(address).unwrap()
    }

    #[test]
    fn answers_follow_each_other_on_one_connection() {
        let mut connection = answering(&[
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nthree\r\n0\r\n\r\n",
            "HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\nno",
        ]);
        let request = get("/", "", "*/*");
        assert_eq!(connection.exchange(&request).unwrap(), b"one");
        assert_eq!(connection.exchange(&request).unwrap(), b"two");
        let mut streamed = Vec::new();
        connection
            .stream(&request, |piece| {
                streamed.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        assert_eq!(streamed, b"three");
        assert_eq!(connection.exchange(&request).unwrap_err().to_string(), "the server answered 409: no");
    }
}
