//! What a store in a test is asked: the head of an HTTP/1.1 request.

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// All up to the empty line, or what came before the caller hung up.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { break };
        head.push(byte);
    }
    String::from_utf8(head).unwrap()
}
