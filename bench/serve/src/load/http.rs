//! HTTP/1.1 by hand: requests are ready-made bytes, and of an answer's head only what is needed is read.

use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A connection that is kept open.
pub struct Http {
    stream: TcpStream,
    buffer: BytesMut,
}

/// What a head says.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    /// Where the body begins.
    end: usize,
    length: usize,
    json_length: Option<usize>,
}

impl Http {
    /// Over a stream.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::with_capacity(16 << 10) }
    }

    /// Sends a request; gives the body of its answer, and where a header says that its JSON ends.
    pub async fn call(&mut self, request: &[u8]) -> Result<(&[u8], Option<usize>)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the connection was closed");
            if let Some(head) = head(&self.buffer)? {
                break head;
            }
        };
        self.buffer.reserve((head.end + head.length).saturating_sub(self.buffer.len()));
        while self.buffer.len() < head.end + head.length {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the connection was closed");
        }
        Ok((&self.buffer[head.end..head.end + head.length], head.json_length))
    }
}

/// Reads a head; `None`: it isn't whole yet.
fn head(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..end]).context("a head that is no text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.contains(" 200") {
        let body = String::from_utf8_lossy(&bytes[end + 4..]);
        bail!("{status}: {body:.200}");
    }
    let mut length = None;
    let mut json_length = None;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let wanted = match name.len() {
            14 if name.eq_ignore_ascii_case("content-length") => &mut length,
            31 if name.eq_ignore_ascii_case("inference-header-content-length") => &mut json_length,
            _ => continue,
        };
        *wanted = Some(value.trim().parse().context("a length that is no number")?);
    }
    let length = length.context("an answer without content-length")?;
    Ok(Some(Head { end: end + 4, length, json_length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\ninference-header-content-length: 3\r\n\r\n{}\0\0";
        assert_eq!(head(text).unwrap(), Some(Head { end: text.len() - 4, length: 7, json_length: Some(3) }));
        assert_eq!(head(&text[..30]).unwrap(), None);
        assert!(head(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").is_err());
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
