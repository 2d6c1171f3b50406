//! Watches the bytes of an HTTP/1 connection for heads that two readers may read differently.
//!
//! The HTTP library mends such heads (it drops a content-length beside a transfer-encoding, or one of two equal ones)
//! before anybody sees them; a proxy in front of us may have mended them the other way. So they are looked at here, on
//! their way in, and refused.

use std::io::{self, BufRead as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Heads above this are refused by the library.
const LONGEST_HEAD: usize = 64 << 10;

/// How HTTP/2 begins: its frames have one reading, and none is looked at.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// The verdict on a connection: once ambiguous, for ever.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Arc<AtomicBool>);

impl Verdict {
    /// Whether all heads so far can be read in one way only.
    #[must_use]
    pub fn clear(&self) -> bool {
        !self.0.load(Ordering::Acquire)
    }
}

/// A connection whose incoming bytes are looked at.
#[derive(Debug)]
pub struct Screen<T> {
    inner: T,
    framing: Framing,
}

impl<T> Screen<T> {
    /// Looks at a connection.
    pub fn new(inner: T, verdict: Verdict) -> Self {
        Self {
            inner,
            framing: Framing { state: State::Head, line: Vec::new(), head: Head::default(), size: 0, verdict },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes of a body, then the next head.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk and its line end, then the next size.
    Chunk(u64),
    Trailer,
    /// The library will end this connection, or the verdict is spoken, or it is HTTP/2.
    Over,
}

#[derive(Debug, Default)]
struct Head {
    started: bool,
    lengths: u32,
    length: u64,
    encodings: u32,
    hosts: u32,
}

#[derive(Debug)]
struct Framing {
    state: State,
    line: Vec<u8>,
    head: Head,
    size: usize,
    verdict: Verdict,
}

impl Framing {
    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.state {
                State::Over => return,
                State::Body(left) | State::Chunk(left) => {
                    let skip = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = &bytes[skip..];
                    let left = left - skip as u64;
                    self.state = match self.state {
                        State::Body(_) if left == 0 => State::Head,
                        State::Body(_) => State::Body(left),
                        _ if left == 0 => State::ChunkSize,
                        _ => State::Chunk(left),
                    };
                }
                State::Head | State::ChunkSize | State::Trailer => bytes = self.feed_line(bytes),
            }
        }
    }

    fn feed_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes;
        // Reading from a slice can't fail; and this way of the standard library to find a byte is the fast one.
        let taken = rest.skip_until(b'\n').unwrap_or(bytes.len());
        let piece = &bytes[..taken];
        self.size += taken;
        if self.size > LONGEST_HEAD {
            self.state = State::Over;
        } else if !piece.ends_with(b"\n") {
            self.line.extend_from_slice(piece);
        } else if self.line.is_empty() {
            self.line_done(piece);
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(piece);
            self.line_done(&line);
        }
        rest
    }

    fn line_done(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.state {
            State::Head if line.is_empty() => self.head_done(),
            State::Head if !self.head.started && line == PREFACE => self.state = State::Over,
            State::Head if !self.head.started => self.head.started = true,
            State::Head => self.header(line),
            State::ChunkSize => {
                let digits = line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next().unwrap_or_default();
                let size = std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
                self.size = 0;
                self.state = match size {
                    Some(0) => State::Trailer,
                    Some(size) => size.checked_add(2).map_or(State::Over, State::Chunk),
                    None => State::Over,
                };
            }
            State::Trailer if line.is_empty() => self.next_head(),
            _ => {}
        }
    }

    fn header(&mut self, line: &[u8]) {
        // A folded line continues the one before, for some.
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return self.condemn();
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.trim_ascii().eq_ignore_ascii_case(b"content-length") {
            self.head.lengths += 1;
            match std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()) {
                Some(length) if !value.starts_with(b"+") => self.head.length = length,
                _ => self.condemn(),
            }
        } else if name.trim_ascii().eq_ignore_ascii_case(b"transfer-encoding") {
            self.head.encodings += 1;
            if !value.eq_ignore_ascii_case(b"chunked") {
                self.condemn();
            }
        } else if name.trim_ascii().eq_ignore_ascii_case(b"host") {
            self.head.hosts += 1;
            if self.head.hosts > 1 {
                self.condemn();
            }
        }
    }

    fn head_done(&mut self) {
        if !self.head.started {
            return; // empty lines before a request are allowed
        }
        match self.head {
            Head { lengths: 0, encodings: 0, .. } => self.next_head(),
            Head { lengths: 1, encodings: 0, length, .. } => {
                self.next_head();
                self.state = if length == 0 { State::Head } else { State::Body(length) };
            }
            Head { lengths: 0, encodings: 1, .. } => {
                self.next_head();
                self.state = State::ChunkSize;
            }
            _ => self.condemn(),
        }
    }

    fn next_head(&mut self) {
        self.head = Head::default();
        self.size = 0;
        self.state = State::Head;
    }

    fn condemn(&mut self) {
        self.verdict.0.store(true, Ordering::Release);
        self.state = State::Over;
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Screen<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.framing.feed(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Screen<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether the bytes are clear, fed in pieces of a size.
    fn clear(bytes: &str, piece: usize) -> bool {
        let verdict = Verdict::default();
        let mut screen = Screen::new((), verdict.clone());
        bytes.as_bytes().chunks(piece).for_each(|piece| screen.framing.feed(piece));
        verdict.clear()
    }

    const CLEAR: [&str; 6] = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
        // A body that looks like an ambiguous head is only a body.
        "POST / HTTP/1.1\r\nContent-Length: 55\r\n\r\nA: b\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n13;x=y\r\nContent-Length: 1\r\n\r\n0\r\nT: t\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nContent-Length: +1\r\nin frames\r\n\r\n",
    ];
    const AMBIGUOUS: [&str; 8] = [
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
    ];

    proptest! {
        #[test]
        fn verdicts_dont_depend_on_how_bytes_arrive(piece in 1usize..80, first in 0usize..6, second in 0usize..8) {
            prop_assert!(clear(CLEAR[first], piece), "{}", CLEAR[first]);
            prop_assert!(!clear(AMBIGUOUS[second], piece), "{}", AMBIGUOUS[second]);
            let both = format!("{}{}", CLEAR[first], AMBIGUOUS[second]);
            prop_assert_eq!(clear(&both, piece), first == 5, "{}", both);
        }
    }
}
