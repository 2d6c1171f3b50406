//! Asks gateways and servers for their reports, each over a connection of its own that is kept.

use super::identity::Identity;
use anyhow::{Context, Result, bail, ensure};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use millrace_crds::report::{GatewayReport, ServerReport};
use millrace_scaler::{Replica, Reporter};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const GATEWAY_PORT: u16 = 9443;
const SERVER_PORT: u16 = 8443;
const GATEWAY_NAME: &str = "gateway.millrace.internal";
const GATEWAY_TIMEOUT: Duration = Duration::from_secs(4);
const SERVER_TIMEOUT: Duration = Duration::from_millis(1_500);
const SERVER_INTERVAL: Duration = Duration::from_secs(2);
/// After an error; and the least time between two reports of one gateway.
const RETRY: Duration = Duration::from_millis(500);
const BREATH: Duration = Duration::from_millis(20);
const LARGEST_REPORT: usize = 32 << 20;

/// Whom to ask.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A gateway.
    Gateway(Reporter),
    /// A model server.
    Server(Replica),
}

/// A report that came.
#[derive(Debug)]
pub enum Heard {
    /// From a gateway.
    Gateway(Reporter, GatewayReport),
    /// From a model server.
    Server(Replica, ServerReport),
}

/// One task for each reporter; a task ends when its entry is dropped.
#[derive(Debug)]
pub struct Pollers {
    tasks: BTreeMap<Reporter, Task>,
    identity: Arc<ArcSwapOption<Identity>>,
    heard: Sender<Heard>,
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pollers {
    /// No tasks yet; what comes goes into `heard`.
    pub fn new(identity: Arc<ArcSwapOption<Identity>>, heard: Sender<Heard>) -> Self {
        Self { tasks: BTreeMap::new(), identity, heard }
    }

    /// Starts and ends tasks until there is one for each target.
    pub fn follow(&mut self, targets: Vec<(Target, IpAddr)>) {
        let wanted: BTreeMap<Reporter, (Target, IpAddr)> =
            targets.into_iter().map(|(target, address)| (target.reporter().clone(), (target, address))).collect();
        self.tasks.retain(|reporter, _| wanted.contains_key(reporter));
        for (reporter, (target, address)) in wanted {
            let start = || Task(tokio::spawn(poll(target, address, self.identity.clone(), self.heard.clone())));
            self.tasks.entry(reporter).or_insert_with(start);
        }
    }
}

impl Target {
    fn reporter(&self) -> &Reporter {
        match self {
            Self::Gateway(reporter) => reporter,
            Self::Server(replica) => &replica.pod,
        }
    }
}

async fn poll(target: Target, address: IpAddr, identity: Arc<ArcSwapOption<Identity>>, heard: Sender<Heard>) {
    let mut line = None;
    loop {
        let answer = ask(&target, address, &identity, &mut line).await;
        let pause = match answer {
            Ok(report) => {
                if heard.send(report).await.is_err() {
                    return;
                }
                if matches!(target, Target::Gateway(_)) { BREATH } else { SERVER_INTERVAL }
            }
            Err(error) => {
                // A pod that starts or ends doesn't answer; what is missing for long shows as MetricsAvailable.
                tracing::debug!(reporter = %target.reporter(), "no report: {error:#}");
                line = None;
                RETRY
            }
        };
        sleep(pause).await;
    }
}

async fn ask(
    target: &Target,
    address: IpAddr,
    identity: &ArcSwapOption<Identity>,
    line: &mut Option<Line>,
) -> Result<Heard> {
    let identity = identity.load_full().context("there is no client certificate yet")?;
    match target {
        Target::Gateway(reporter) => {
            let gateway = Peer { address: SocketAddr::new(address, GATEWAY_PORT), name: Some(GATEWAY_NAME), identity };
            let report = timeout(GATEWAY_TIMEOUT, fetch(line, gateway, "/report?wait=1s")).await??;
            Ok(Heard::Gateway(reporter.clone(), report))
        }
        Target::Server(replica) => {
            let server = Peer { address: SocketAddr::new(address, SERVER_PORT), name: None, identity };
            let report = timeout(SERVER_TIMEOUT, fetch(line, server, "/report")).await??;
            Ok(Heard::Server(replica.clone(), report))
        }
    }
}

struct Peer {
    address: SocketAddr,
    name: Option<&'static str>,
    identity: Arc<Identity>,
}

/// A kept connection, and the identity that it was made with.
struct Line {
    sender: SendRequest<Empty<Bytes>>,
    identity: Arc<Identity>,
    _driver: Task,
}

async fn fetch<T: DeserializeOwned>(line: &mut Option<Line>, peer: Peer, path: &str) -> Result<T> {
    if line.as_ref().is_none_or(|line| line.sender.is_closed() || !Arc::ptr_eq(&line.identity, &peer.identity)) {
        *line = Some(connect(&peer).await?);
    }
    let Some(line) = line else { bail!("no connection") };
    let host = peer.name.map_or_else(|| peer.address.to_string(), str::to_owned);
    let request = http::Request::get(path).header(http::header::HOST, host).body(Empty::new())?;
    line.sender.ready().await?;
    let response = line.sender.send_request(request).await?;
    ensure!(response.status() == http::StatusCode::OK, "answered {}", response.status());
    let body = Limited::new(response.into_body(), LARGEST_REPORT).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("can't read the report: {error}"))?.to_bytes();
    serde_json::from_slice(&body).context("the report is malformed")
}

async fn connect(peer: &Peer) -> Result<Line> {
    let stream = match peer.name {
        Some(name) => peer.identity.to_gateway(peer.address, name).await?,
        None => peer.identity.to_server(peer.address).await?,
    };
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = Task(tokio::spawn(async move {
        let _ = connection.await;
    }));
    Ok(Line { sender, identity: peer.identity.clone(), _driver: driver })
}

#[cfg(test)]
#[path = "scrape_tests.rs"]
mod tests;
