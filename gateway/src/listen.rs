//! The public door: connections are counted, encrypted, timed and bounded before a request is looked at.

use crate::forward::WINDOW;
use crate::front::Gateway;
use http::header::{CONNECTION, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use millrace_hop::screen::{Screen, Verdict};
use rustls::ServerConfig;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at the same time.
    pub connections: usize,
    /// For the TLS handshake, and for each head.
    pub patience: Duration,
}

/// Header fields of a request.
const HEADERS: usize = 100;
/// Bytes of a request's head.
const HEAD_BYTES: u32 = 32 << 10;
/// Requests at the same time on one connection.
const STREAMS: u32 = 256;
/// Resets that a connection may cause before it is closed.
const RESETS: usize = 32;

/// Takes connections until `stop` is done, then ends them when their requests have.
pub async fn serve(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    gateway: Arc<Gateway>,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let acceptor = TlsAcceptor::from(config);
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        // The place is taken first: beyond the bound, connections wait in the kernel's queue.
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (acceptor, gateway, watcher) = (acceptor.clone(), Arc::clone(&gateway), graceful.watcher());
                tokio::spawn(async move {
                    let _place = place;
                    gateway.totals.connections.inc();
                    connection(stream, acceptor, &gateway, limits, watcher).await;
                    gateway.totals.connections.dec();
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: some will be given back.
                tracing::warn!(%error, "can't take a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    gateway: &Arc<Gateway>,
    limits: Limits,
    watcher: Watcher,
) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(limits.patience, acceptor.accept(stream)).await else { return };
    let ended = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => http2_connection(stream, gateway, watcher).await,
        _ => http1_connection(stream, gateway, limits, watcher).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a client's connection ended");
    }
}

async fn http1_connection(
    stream: TlsStream<TcpStream>,
    gateway: &Arc<Gateway>,
    limits: Limits,
    watcher: Watcher,
) -> hyper::Result<()> {
    let verdict = Verdict::default();
    let io = TokioIo::new(Screen::new(stream, verdict.clone()));
    let service = service_fn(|request| {
        let (gateway, clear) = (Arc::clone(gateway), verdict.clear());
        async move {
            let mut response = gateway.handle(request, clear).await;
            if !clear {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.patience)
        .max_headers(HEADERS)
        .max_buf_size(2 * HEAD_BYTES as usize)
        .serve_connection(io, service);
    watcher.watch(connection).await
}

async fn http2_connection(stream: TlsStream<TcpStream>, gateway: &Arc<Gateway>, watcher: Watcher) -> hyper::Result<()> {
    let service = service_fn(|request| {
        let gateway = Arc::clone(gateway);
        async move { Ok::<_, Infallible>(gateway.handle(request, true).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .max_header_list_size(HEAD_BYTES)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(16 * WINDOW)
        .max_send_buf_size(256 << 10)
        .serve_connection(TokioIo::new(stream), service);
    watcher.watch(connection).await
}
