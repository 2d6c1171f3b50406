//! ModelInfer over a connection of HTTP/2, one call at a time; the status in the trailers is read with each answer.

use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, HeaderValue, Request, Uri, Version, header};
use std::net::SocketAddr;
use tokio::net::TcpStream;

const PATH: &str = "/inference.GRPCInferenceService/ModelInfer";
const WINDOW: u32 = 4 << 20;

/// A connection that is kept open.
pub struct Grpc {
    sender: SendRequest<Bytes>,
    uri: Uri,
}

impl Grpc {
    /// Speaks HTTP/2 on a stream.
    pub async fn open(stream: TcpStream, address: SocketAddr) -> Result<Self> {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW).enable_push(false);
        let (sender, connection) = builder.handshake(stream).await?;
        // It ends with the last sender.
        tokio::spawn(connection);
        Ok(Self { sender, uri: format!("http://{address}{PATH}").parse()? })
    }

    /// Sends a message in its frame; gives the answer's, likewise.
    pub async fn call(&mut self, message: Bytes) -> Result<Bytes> {
        let mut request = Request::new(());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        std::future::poll_fn(|cx| self.sender.poll_ready(cx)).await?;
        let (answer, mut body) = self.sender.send_request(request, false)?;
        body.send_data(message, true)?;
        let (parts, mut stream) = answer.await?.into_parts();
        ensure!(parts.status == 200, "{}", parts.status);
        if parts.headers.contains_key("grpc-status") {
            check(&parts.headers)?;
        }
        let mut whole = Bytes::new();
        let mut more = BytesMut::new();
        while let Some(part) = stream.data().await {
            let part = part?;
            stream.flow_control().release_capacity(part.len())?;
            if whole.is_empty() {
                whole = part;
            } else {
                more.extend_from_slice(&part);
            }
        }
        check(&stream.trailers().await?.context("an answer without trailers")?)?;
        Ok(if more.is_empty() { whole } else { [&whole[..], &more].concat().into() })
    }
}

fn check(headers: &HeaderMap) -> Result<()> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("none");
    ensure!(text("grpc-status") == "0", "grpc-status {}: {}", text("grpc-status"), text("grpc-message"));
    Ok(())
}
