//! Bytes as no client library would send them, over HTTP/1.1 and HTTP/2.

use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Sends `head` and gives both halves of the connection.
pub async fn begin(address: SocketAddr, head: &str) -> (OwnedReadHalf, OwnedWriteHalf) {
    let (read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    write.write_all(head.as_bytes()).await.unwrap();
    (read, write)
}

/// Reads to the end of the connection, or to the end of an answer whose length is announced; empty: none came.
pub async fn answer(read: &mut OwnedReadHalf) -> String {
    let mut text = Vec::new();
    let mut part = [0; 4096];
    loop {
        match read.read(&mut part).await {
            Ok(0) | Err(_) => break,
            Ok(length) => text.extend_from_slice(&part[..length]),
        }
        let got = String::from_utf8_lossy(&text).to_lowercase();
        let whole = got.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.split_once("content-length: ").map(|(_, rest)| rest.lines().next().unwrap_or_default());
            length.and_then(|length| length.trim().parse::<usize>().ok()).is_some_and(|length| body.len() >= length)
        });
        if whole {
            break;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The status of an answer; 0: none came.
pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Types of HTTP/2 frames.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;
/// Flags.
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A block of headers: method (2: GET, 3: POST by the static table), scheme http, `path`, and an authority.
pub fn block(method: u8, path: &str) -> Vec<u8> {
    let literal = |index: u8, text: &str| [&[index, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0x80 | method, 0x86], literal(0x04, path), literal(0x01, "server")].concat()
}

/// An HTTP/2 connection by hand.
pub struct Wire {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
}

/// How the server took what was sent.
#[derive(Debug, Default)]
pub struct Taken {
    /// Error code of its GOAWAY; `None`: it sent none.
    pub goaway: Option<u32>,
    /// Whether it closed the connection.
    pub closed: bool,
    /// Streams that it reset.
    pub resets: usize,
    /// Blocks of headers that it sent.
    pub headers: usize,
}

impl Wire {
    /// Opens a connection with a preface and empty settings.
    pub async fn open(address: SocketAddr) -> Self {
        let (read, mut write) = begin(address, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        write.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Self { read, write }
    }

    /// Sends `frames` one after the other, reading all the while, then waits for an answer to a last ping: by then the
    /// server has taken all of it, or the connection is over. What it does of its own accord is waited for a little.
    pub async fn send(
        self,
        frames: impl Iterator<Item = Vec<u8>> + Send + 'static,
        done: impl Fn(&Taken) -> bool,
    ) -> Taken {
        let Self { mut read, mut write } = self;
        let sender = tokio::spawn(async move {
            let mut gathered = Vec::new();
            for frame in frames {
                gathered.extend_from_slice(&frame);
                if gathered.len() > 16 << 10 {
                    if write.write_all(&gathered).await.is_err() {
                        return None;
                    }
                    gathered.clear();
                }
            }
            gathered.extend(frame(6, 0, 0, b"the last"));
            write.write_all(&gathered).await.ok()?;
            Some(write)
        });
        let mut taken = Taken::default();
        let mut answered = false;
        while !(answered && done(&taken)) {
            let mut head = [0; 9];
            let patience = Duration::from_secs(if answered { 3 } else { 60 });
            match tokio::time::timeout(patience, read.read_exact(&mut head)).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => {
                    taken.closed = true;
                    break;
                }
                Err(_) => break,
            }
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut payload = vec![0; length];
            if read.read_exact(&mut payload).await.is_err() {
                taken.closed = true;
                break;
            }
            match head[3] {
                HEADERS => taken.headers += 1,
                RST_STREAM => taken.resets += 1,
                GOAWAY => taken.goaway = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap())),
                6 => answered |= payload == b"the last",
                _ => {}
            }
        }
        let _ = sender.await;
        taken
    }
}
