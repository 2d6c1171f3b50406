//! The platform's doors: reports and metrics for callers with a certificate of the release, health for the kubelet.

use crate::drain::Readiness;
use crate::front::Gateway;
use crate::metrics;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// Longest wait of a report.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections to each of these doors.
const CONNECTIONS: usize = 64;

type Answer = Response<Full<Bytes>>;

/// Serves `/livez` and `/readyz` in plain text.
pub async fn health(listener: TcpListener, readiness: Arc<Readiness>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let Ok((stream, _)) = accept(&listener).await else { continue };
        let readiness = Arc::clone(&readiness);
        tokio::spawn(async move {
            let _place = place;
            let answer = move |request: Request<Incoming>| {
                let readiness = Arc::clone(&readiness);
                async move { health_answer(request.uri().path(), &readiness) }
            };
            converse(stream, answer).await;
        });
    }
}

fn health_answer(path: &str, readiness: &Readiness) -> Answer {
    match (path, readiness.check()) {
        ("/livez", _) | ("/readyz", Ok(())) => text(StatusCode::OK, "ok".into()),
        ("/readyz", Err(missing)) => text(StatusCode::SERVICE_UNAVAILABLE, missing.into()),
        _ => text(StatusCode::NOT_FOUND, "not found".into()),
    }
}

/// Serves `/report` and `/metrics` by mutual TLS, as soon as there is an identity.
pub async fn admin(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    mut identity: watch::Receiver<Option<Arc<ServerConfig>>>,
) {
    let registry = Arc::new(metrics::registry(&gateway));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    if identity.wait_for(Option::is_some).await.is_err() {
        return;
    }
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let Ok((stream, _)) = accept(&listener).await else { continue };
        let Some(config) = identity.borrow().clone() else { continue };
        let (gateway, registry) = (Arc::clone(&gateway), Arc::clone(&registry));
        tokio::spawn(async move {
            let _place = place;
            let handshake = TlsAcceptor::from(config).accept(stream);
            let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, handshake).await else { return };
            let answer = move |request: Request<Incoming>| {
                let (gateway, registry) = (Arc::clone(&gateway), Arc::clone(&registry));
                async move { admin_answer(&request, &gateway, &registry).await }
            };
            converse(stream, answer).await;
        });
    }
}

async fn admin_answer(request: &Request<Incoming>, gateway: &Gateway, registry: &Registry) -> Answer {
    match request.uri().path() {
        "/metrics" => {
            let mut answer = text(StatusCode::OK, metrics::render(registry));
            let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
            answer.headers_mut().insert(CONTENT_TYPE, kind);
            answer
        }
        "/report" => {
            let pairs = request.uri().query().unwrap_or_default().split('&');
            let wait = pairs.filter_map(|pair| pair.strip_prefix("wait=")).next();
            let urgent = match wait.and_then(|text| millrace_crds::Duration::from(text).to_std()) {
                Some(wait) => gateway.reporter.wait(wait.min(LONGEST_WAIT)).await,
                None => false,
            };
            let report = serde_json::to_string(&gateway.reporter.report(&gateway.fleet, urgent)).unwrap_or_default();
            let mut answer = text(StatusCode::OK, report);
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            answer
        }
        _ => text(StatusCode::NOT_FOUND, "not found".into()),
    }
}

async fn accept(listener: &TcpListener) -> std::io::Result<(tokio::net::TcpStream, std::net::SocketAddr)> {
    let accepted = listener.accept().await;
    if accepted.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    accepted
}

async fn converse<S, F, A>(stream: S, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(|request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(16 << 10);
    http.http2().timer(TokioTimer::new()).max_concurrent_streams(16).keep_alive_interval(Duration::from_secs(20));
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to an inner door ended");
    }
}

fn text(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer
}
