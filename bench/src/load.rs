//! A closed loop: so many clients, each sending the next request when the last one is answered.

use crate::latency::Summary;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What to send, and how much.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where to.
    pub url: String,
    /// API key.
    pub key: String,
    /// Authority of the server's certificate, PEM.
    pub ca: PathBuf,
    /// Clients at the same time, each with a connection of its own.
    pub clients: usize,
    /// Bodies, sent in turn.
    pub bodies: Vec<Vec<u8>>,
    /// The run ends by itself after so long.
    pub limit: Duration,
}

/// A run under way. It ends by [`Running::stop`] or by its limit.
#[derive(Debug)]
pub struct Running {
    thread: std::thread::JoinHandle<Result<Summary>>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
}

impl Running {
    /// Answers so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends the run: each client finishes the request that it has sent.
    ///
    /// # Errors
    /// The run could not begin, or it panicked.
    pub fn stop(self) -> Result<Summary> {
        self.stop.store(true, Ordering::Relaxed);
        self.wait()
    }

    /// Waits until the limit has passed.
    ///
    /// # Errors
    /// As [`Running::stop`].
    pub fn wait(self) -> Result<Summary> {
        self.thread.join().map_err(|_| anyhow::anyhow!("the load generator panicked"))?
    }
}

/// Begins a run on a thread of its own.
///
/// # Errors
/// The authority can't be read, or there is nothing to send.
pub fn start(load: Load) -> Result<Running> {
    anyhow::ensure!(!load.bodies.is_empty() && load.clients > 0, "a load needs a body and a client");
    let pem = std::fs::read(&load.ca).with_context(|| format!("can't read {}", load.ca.display()))?;
    let certificate = reqwest::Certificate::from_pem(&pem)?;
    // The provider is chosen once in a process; a second choice of the same one is refused and means nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let shared = Shared { load: Arc::new(load), stop: stop.clone(), answered: answered.clone() };
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(run(shared, certificate))
    });
    Ok(Running { thread, stop, answered })
}

/// What all clients of a run share.
#[derive(Clone)]
struct Shared {
    load: Arc<Load>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
}

async fn run(shared: Shared, certificate: reqwest::Certificate) -> Result<Summary> {
    let begun = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..shared.load.clients {
        clients.spawn(client(shared.clone(), certificate.clone(), number, begun));
    }
    let (mut latencies, mut failures) = (Vec::new(), Vec::new());
    while let Some(done) = clients.join_next().await {
        let (mut fast, mut failed) = done??;
        latencies.append(&mut fast);
        failures.append(&mut failed);
    }
    Ok(Summary::of(latencies, &failures, begun.elapsed().as_secs_f64()))
}

/// One client: latencies of its answers, and its failures in words.
async fn client(
    shared: Shared,
    certificate: reqwest::Certificate,
    number: usize,
    begun: Instant,
) -> Result<(Vec<Duration>, Vec<String>)> {
    let Shared { load, stop, answered } = shared;
    let http =
        reqwest::Client::builder().tls_certs_only([certificate]).no_proxy().timeout(Duration::from_secs(60)).build()?;
    let (mut latencies, mut failures) = (Vec::new(), Vec::new());
    let mut next = number;
    while !stop.load(Ordering::Relaxed) && begun.elapsed() < load.limit {
        let body = load.bodies[next % load.bodies.len()].clone();
        next += 1;
        let sent = Instant::now();
        match send(&http, &load, body).await {
            Ok(()) => {
                latencies.push(sent.elapsed());
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                failures.push(format!("{error:#}"));
                // A refused connection comes back at once: without a pause a client would spin on it.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    Ok((latencies, failures))
}

/// Sends one request and reads its answer to the end.
async fn send(http: &reqwest::Client, load: &Load, body: Vec<u8>) -> Result<()> {
    let answer = http.post(&load.url).bearer_auth(&load.key).body(body).send().await?;
    let status = answer.status();
    let bytes = answer.bytes().await?;
    anyhow::ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&bytes));
    anyhow::ensure!(!bytes.is_empty(), "an empty answer");
    Ok(())
}
