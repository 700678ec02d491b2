//! A connection to the server, with one request under way at a time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::chunked::ChunkedDecoder;
use super::response::{Framing, ResponseHead, check_success, parse_head};

/// Longest wait for a single read or write.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(60);
/// Free bytes in the buffer before a read whose length is not known.
const READ_BYTES: usize = 256 * 1024;

/// A connection to the server.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Received bytes are in `buffer[..filled]`, of which `buffer[..taken]` were returned or belong to earlier responses.
    buffer: Vec<u8>,
    filled: usize,
    taken: usize,
}

impl Connection {
    /// Connects to a server.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SOCKET_TIMEOUT))?;
        stream.set_write_timeout(Some(SOCKET_TIMEOUT))?;
        Ok(Self { stream, buffer: Vec::new(), filled: 0, taken: 0 })
    }

    /// Sends a request, reads the whole response and returns its body. Any status but 200 is an error.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.send(request)?;
        self.receive()
    }

    /// Sends a request. Its response has to be received before the next request is sent.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<()> {
        // Everything received so far was taken, so the next response can begin at the front of the buffer.
        ensure!(self.taken == self.filled, "the server sent more than one response to a request");
        (self.taken, self.filled) = (0, 0);
        self.stream.write_all(request).context("sending a request")
    }

    /// Reads the whole response to the request that was sent and returns its body. Any status but 200 is an error.
    pub(crate) fn receive(&mut self) -> Result<&[u8]> {
        let head = self.read_head()?;
        let begin = self.taken + head.bytes;
        match head.framing {
            Framing::Length(length) => {
                self.read_to(begin + length)?;
                self.taken = begin + length;
                let body = &self.buffer[begin..begin + length];
                check_success(head.status, body)?;
                Ok(body)
            }
            Framing::Chunked => {
                let mut body = Vec::new();
                self.taken = begin;
                self.read_chunks(|piece| {
                    body.extend_from_slice(piece);
                    Ok(())
                })?;
                check_success(head.status, &body)?;
                // The buffer holds nothing after the end of this response, so the body can take its place.
                (self.buffer, self.filled, self.taken) = (body, 0, 0);
                Ok(&self.buffer)
            }
        }
    }

    /// Sends a request whose response is streamed, and passes each piece of the body to `take` as it arrives.
    pub(crate) fn stream(&mut self, request: &[u8], take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.send(request)?;
        let head = self.read_head()?;
        let begin = self.taken + head.bytes;
        if head.status != 200 || head.framing != Framing::Chunked {
            let length = if let Framing::Length(length) = head.framing { length } else { 0 };
            self.read_to(begin + length)?;
            check_success(head.status, &self.buffer[begin..begin + length])?;
            bail!("the response is not streamed");
        }
        self.taken = begin;
        self.read_chunks(take)
    }

    /// The socket, to be polled: it is readable once a response begins to arrive.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    fn read_head(&mut self) -> Result<ResponseHead> {
        loop {
            self.read_some()?;
            if let Some(head) = parse_head(&self.buffer[..self.filled])? {
                return Ok(head);
            }
        }
    }

    /// Reads until the buffer is filled up to `end`.
    fn read_to(&mut self, end: usize) -> Result<()> {
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        while self.filled < end {
            let count = self.stream.read(&mut self.buffer[self.filled..end]).context("reading a response")?;
            ensure!(count > 0, "the server closed the connection in the middle of a response");
            self.filled += count;
        }
        Ok(())
    }

    fn read_chunks(&mut self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut decoder = ChunkedDecoder::default();
        loop {
            self.taken += decoder.feed(&self.buffer[self.taken..self.filled], &mut take)?;
            if decoder.has_ended() {
                return Ok(());
            }
            if self.taken == self.filled {
                (self.taken, self.filled) = (0, 0);
            }
            self.read_some()?;
        }
    }

    /// Reads what has arrived, after waiting for at least one byte.
    fn read_some(&mut self) -> Result<()> {
        if self.buffer.len() < self.filled + READ_BYTES {
            self.buffer.resize(self.filled + READ_BYTES, 0);
        }
        let count = self.stream.read(&mut self.buffer[self.filled..]).context("reading a response")?;
        ensure!(count > 0, "the server closed the connection");
        self.filled += count;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;
    use crate::bench::http::request::get;

    /// A connection to a server that sends these responses, one for each request.
    fn connect_to_server(responses: &'static [&'static str]) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for response in responses {
                while !lines.next().unwrap().unwrap().is_empty() {}
                stream.write_all(response.as_bytes()).unwrap();
            }
        });
        Connection::open(address).unwrap()
    }

    #[test]
    fn responses_follow_each_other_on_one_connection() {
        let mut connection = connect_to_server(&[
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
        assert_eq!(connection.exchange(&request).unwrap_err().to_string(), "the server responded with 409: no");
    }
}
