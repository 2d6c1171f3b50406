//! Connections to servers: HTTP/2 over mutual TLS, a few for each pod, opened when needed.

use crate::body::Attempt;
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use millrace_crds::report::ServerReport;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Connections to one pod; more streams than they carry wait their turn in the last one.
const MOST_LANES: usize = 4;
/// Streams on a connection before another one is opened.
const STREAMS: usize = 64;
/// A pod that is there accepts at once.
const CONNECT: Duration = Duration::from_secs(2);
/// A server's report is a few KiB.
const LARGEST_REPORT: usize = 1 << 20;

/// Makes connections with the gateway's current identity.
#[derive(Debug, Default)]
pub struct Connector {
    config: ArcSwapOption<ClientConfig>,
}

/// Why there is no connection: nothing has been sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Too early in the gateway's life.
    #[error("the gateway has no client certificate yet")]
    NoIdentity,
    /// It takes too long.
    #[error("timed out")]
    Timeout,
    /// Another request has just failed to connect.
    #[error("failed a moment ago")]
    JustFailed,
    /// TCP or TLS.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// HTTP/2.
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

impl Connector {
    /// Uses this identity from now on.
    pub fn set(&self, config: Arc<ClientConfig>) {
        self.config.store(Some(config));
    }

    /// Whether there is an identity.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.config.load().is_some()
    }

    /// What the server at an address says of itself, over a connection of its own.
    ///
    /// # Errors
    /// It can't be reached, or says nothing that can be read.
    pub async fn ask(&self, address: SocketAddr) -> anyhow::Result<ServerReport> {
        let mut sender = self.connect::<Empty<Bytes>>(address).await?;
        let request = http::Request::get(format!("https://{address}/report")).body(Empty::new())?;
        let response = sender.send_request(request).await?;
        anyhow::ensure!(response.status() == http::StatusCode::OK, "it answered {}", response.status());
        let body = Limited::new(response.into_body(), LARGEST_REPORT).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("its report can't be read: {error}"))?;
        Ok(serde_json::from_slice(&body.to_bytes())?)
    }

    async fn connect<B>(&self, address: SocketAddr) -> Result<SendRequest<B>, ConnectError>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let config = self.config.load_full().ok_or(ConnectError::NoIdentity)?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = TlsConnector::from(config).connect(ServerName::IpAddress(address.ip().into()), stream).await?;
        let mut http = Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(5))
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .max_header_list_size(64 << 10)
            .max_concurrent_reset_streams(256);
        let (sender, connection) = http.handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a server ended");
            }
        });
        Ok(sender)
    }
}

#[derive(Debug)]
struct Lane {
    sender: SendRequest<Attempt>,
    streams: Arc<AtomicUsize>,
}

/// A connection for one request; dropping it gives the stream's place back.
#[derive(Debug)]
pub struct Lease {
    /// Where to send.
    pub sender: SendRequest<Attempt>,
    streams: Arc<AtomicUsize>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.streams.fetch_sub(1, Relaxed);
    }
}

/// The connections to one pod.
#[derive(Debug)]
pub struct Channel {
    address: SocketAddr,
    lanes: Mutex<Vec<Lane>>,
    /// Held while connecting, so that many requests open one connection; when the last attempt failed.
    connecting: tokio::sync::Mutex<Option<Instant>>,
}

impl Channel {
    /// To an address; nothing is opened yet.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, lanes: Mutex::default(), connecting: tokio::sync::Mutex::default() }
    }

    /// A connection with room, opened if there is none.
    ///
    /// # Errors
    /// If none can be opened; nothing has been sent then.
    pub async fn lease(&self, connector: &Connector) -> Result<Lease, ConnectError> {
        if let Some(lease) = self.open_lane() {
            return Ok(lease);
        }
        let asked = Instant::now();
        let mut failed_at = self.connecting.lock().await;
        if let Some(lease) = self.open_lane() {
            return Ok(lease);
        }
        if failed_at.is_some_and(|failed| failed > asked) {
            return Err(ConnectError::JustFailed);
        }
        let opened = tokio::time::timeout(CONNECT, connector.connect(self.address)).await;
        match opened.unwrap_or(Err(ConnectError::Timeout)) {
            Ok(sender) => Ok(self.add(sender)),
            Err(error) => {
                *failed_at = Some(Instant::now());
                Err(error)
            }
        }
    }

    /// The least used lane that is open, if it has room or no further one may be opened.
    fn open_lane(&self) -> Option<Lease> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|lane| !lane.sender.is_closed());
        let full = lanes.len() >= MOST_LANES;
        let lane = lanes.iter().min_by_key(|lane| lane.streams.load(Relaxed))?;
        (full || lane.streams.load(Relaxed) < STREAMS).then(|| lane.lease())
    }

    fn add(&self, sender: SendRequest<Attempt>) -> Lease {
        let lane = Lane { sender, streams: Arc::default() };
        let lease = lane.lease();
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).push(lane);
        lease
    }
}

impl Lane {
    fn lease(&self) -> Lease {
        self.streams.fetch_add(1, Relaxed);
        Lease { sender: self.sender.clone(), streams: Arc::clone(&self.streams) }
    }
}
