//! Connections: their bounds, TLS, and their end. HTTP and gRPC share a port and are told apart by content type.

use crate::{
    alarm::Alarm,
    crew::Crew,
    error::Error,
    grpc::{self, proto::grpc_inference_service_server::GrpcInferenceServiceServer, service::Grpc, unary},
    http::handlers,
    prompt::Prompt,
    replica::Replica,
    tls::Tls,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::TokioIo,
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use millrace_hop::screen::{Screen, Verdict};
use socket2::TcpKeepalive;
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tonic::{body::Body, codec::CompressionEncoding};
use tower::ServiceExt as _;

const CONNECTIONS: usize = 1024;
const HEADER_BYTES: usize = 32 << 10;
const HEADERS: usize = 64;
const STREAMS: u32 = 256;
/// Bytes of a frame of HTTP/2 at most: a tensor comes in few, and in one piece if it fits.
const FRAME: u32 = 1 << 20;
const HANDSHAKE: Duration = Duration::from_secs(10);
const FIRST_REQUEST: Duration = Duration::from_secs(40);
/// How long a peer is silent before it is asked whether it is there; it has as long to answer.
const SILENT: Duration = Duration::from_secs(20);
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Answers requests of both kinds. Each connection has one of its own: what requests share is counted on one core then.
#[derive(Clone)]
pub struct Wire {
    calls: Grpc,
    streams: GrpcInferenceServiceServer<Grpc>,
}

impl Wire {
    /// Over a replica.
    #[must_use]
    pub fn new(replica: Arc<Replica>) -> Self {
        let calls = Grpc(replica);
        let mut streams = GrpcInferenceServiceServer::new(calls.clone()).max_encoding_message_size(usize::MAX);
        for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Deflate] {
            streams = streams.accept_compressed(encoding).send_compressed(encoding);
        }
        Self { calls, streams }
    }

    /// Answers one request. What a kind of call takes much room for is in an allocation of its own: a future moves a few times
    /// before it is polled, with all the room that any kind may take.
    ///
    /// # Errors
    /// Never: errors are responses.
    pub async fn answer(self: Arc<Self>, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let replica = &self.calls.0;
        let grpc = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        if grpc {
            let limits = replica.facts.limits.lowered(request.headers());
            if unary::fits(&request) {
                return Ok(Box::pin(unary::answer(&self.calls, request, limits)).await);
            }
            as_it_came(request.headers_mut());
            let service = self.streams.clone().max_decoding_message_size(grpc::message_limit(limits.bytes));
            let answered = Box::pin(service.oneshot(request)).await;
            return answered.map(|response| too_large_is_exhausted(response, limits.bytes));
        }
        Ok(handlers::handle(replica, request).await)
    }
}

/// Client libraries name with each call every compression that they can read, which is no wish for it: an answer is
/// compressed as its request was.
fn as_it_came(headers: &mut HeaderMap) {
    match headers.get(GRPC_ENCODING).cloned() {
        Some(encoding) => headers.insert(GRPC_ACCEPT_ENCODING, encoding),
        None => headers.remove(GRPC_ACCEPT_ENCODING),
    };
}

/// The library calls a message over the limit OUT_OF_RANGE; the protocol's table has RESOURCE_EXHAUSTED for it. And it knows
/// no name of the limit.
fn too_large_is_exhausted(mut response: Response<Body>, max: u64) -> Response<Body> {
    let headers = response.headers_mut();
    let says =
        |name: &str, text: &str| headers.get(name).is_some_and(|value| value.as_bytes().starts_with(text.as_bytes()));
    if says("grpc-status", "11") || says("grpc-message", "Error%20decompressing:%20size%20limit") {
        headers.insert("grpc-status", HeaderValue::from_static("8"));
        if let Ok(message) = HeaderValue::from_str(&grpc::too_large(max)) {
            headers.insert("grpc-message", message);
        }
    }
    response
}

/// The kernel asks whether a silent peer is still there. The library's own pings would cost each call a lock and three looks
/// at the clock.
fn keep_alive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(SILENT).with_interval(SILENT / 4).with_retries(4)
}

/// The answer to a head that a proxy before us may have read differently. What follows it can't be trusted either.
fn ambiguous() -> Response<Body> {
    let mut response = handlers::error_response(&Error::invalid("the request's framing can be read in two ways"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Serves connections on the crew's threads until `end` turns true; then no more come, those that are idle close, and those
/// at work finish. `desk` makes for each connection what answers its requests.
pub async fn serve<D, S, F>(
    listener: TcpListener,
    crew: Crew,
    tls: Option<Arc<Tls>>,
    end: watch::Receiver<bool>,
    desk: D,
) where
    D: Fn() -> S,
    S: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut ending = end.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ending.wait_for(|end| *end) => break,
        };
        // It leaves this thread for good.
        let stream = match accepted.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: give others the time to close.
                tracing::warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
        let _ = stream.set_nodelay(true);
        let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive());
        let (watcher, answer, tls) = (graceful.watcher(), desk(), tls.clone());
        crew.next().spawn(async move {
            let _place = place;
            let Ok(stream) = TcpStream::from_std(stream) else { return };
            match tls {
                None => drive(stream, watcher, answer).await,
                Some(tls) => {
                    let acceptor = tokio_rustls::TlsAcceptor::from(tls.config());
                    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => drive(stream, watcher, answer).await,
                        Ok(Err(error)) => tracing::debug!(%error, "a caller was refused"),
                        Err(_) => tracing::debug!("a handshake took too long"),
                    }
                }
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn drive<I, S, F>(stream: I, watcher: hyper_util::server::graceful::Watcher, answer: S)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let mut builder = Builder::new(Prompt);
    builder
        .http1()
        .timer(Alarm::default())
        .header_read_timeout(Duration::from_secs(30))
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADERS);
    builder
        .http2()
        .max_concurrent_streams(STREAMS)
        .max_frame_size(FRAME)
        .max_header_list_size(u32::try_from(HEADER_BYTES).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(64)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    let spoken = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&spoken);
    let verdict = Verdict::default();
    let stream = TokioIo::new(Screen::new(stream, verdict.clone()));
    let answer = move |request| {
        heard.store(true, Ordering::Relaxed);
        let answered = verdict.clear().then(|| Box::pin(answer(request)));
        async move {
            match answered {
                Some(answered) => answered.await,
                None => Ok(ambiguous()),
            }
        }
    };
    let connection = builder.serve_connection(stream, service_fn(answer)).into_owned();
    tokio::select! {
        biased;
        ended = watcher.watch(connection) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke");
            }
        }
        () = silence(&spoken) => tracing::debug!("a connection brought no request"),
    }
}

/// Ends if no request has come in time. The library's own limits begin only when it knows the protocol.
fn silence(spoken: &AtomicBool) -> impl Future<Output = ()> {
    let mut sleep = Box::pin(tokio::time::sleep(FIRST_REQUEST));
    poll_fn(move |cx| if spoken.load(Ordering::Relaxed) { Poll::Pending } else { sleep.as_mut().poll(cx) })
}
