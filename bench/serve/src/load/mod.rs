//! The generator: closed loop (each client sends when its last answer is there) or open loop (requests are due at times of
//! their own, and latency counts from then). Each client has a connection, each thread a runtime of its own.

mod grpc;
mod http;
mod pace;

use crate::{check::Check, wire::Wire};
use anyhow::{Context, Result};
use bytes::Bytes;
use millrace_bench::latency::Summary;
use pace::Pace;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// What to send, and how.
#[derive(Clone)]
pub struct Load {
    /// Where to.
    pub address: SocketAddr,
    /// By which wire.
    pub wire: Wire,
    /// Requests, sent in turn.
    pub requests: Arc<Vec<Bytes>>,
    /// What answers must be.
    pub check: Arc<Check>,
    /// Connections, each with one request at a time.
    pub clients: usize,
    /// Threads of the generator.
    pub threads: usize,
    /// Requests a second over all clients; `None`: a closed loop.
    pub rate: Option<f64>,
    /// Not counted.
    pub warm_up: Duration,
    /// Counted.
    pub measured: Duration,
}

/// The part of a run that counts.
#[derive(Clone, Copy)]
struct Window {
    from: Instant,
    to: Instant,
}

impl Window {
    /// Whether an answer counts. In a closed loop those that come in it do, whenever they were asked for: else each client
    /// would lose the one that it waits for when the part begins, which is much of the rate where answers take long. In an open
    /// loop what was due in it counts, also if it was answered late: that is its point.
    fn counts(self, due: Instant, done: Instant, is_open: bool) -> bool {
        let at = if is_open { due } else { done };
        (self.from..self.to).contains(&at)
    }
}

/// Runs it. `at_edge` is called at both ends of the part that counts. Any answer that isn't right is the run's error.
pub fn run(load: &Load, mut at_edge: impl FnMut()) -> Result<Summary> {
    let from = Instant::now() + load.warm_up;
    let window = Window { from, to: from + load.measured };
    let threads: Vec<_> = (0..load.threads)
        .map(|thread| {
            let load = load.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(clients(load, thread, window))
            })
        })
        .collect();
    std::thread::sleep(window.from.saturating_duration_since(Instant::now()));
    at_edge();
    std::thread::sleep(window.to.saturating_duration_since(Instant::now()));
    at_edge();
    let mut latencies = Vec::new();
    for thread in threads {
        latencies.append(&mut thread.join().map_err(|_| anyhow::anyhow!("the generator panicked"))??);
    }
    Ok(Summary::of(latencies, &[], load.measured.as_secs_f64()))
}

/// The clients of one thread: latencies of what counts.
async fn clients(load: Load, thread: usize, window: Window) -> Result<Vec<Duration>> {
    let own = load.clients / load.threads + usize::from(thread < load.clients % load.threads);
    let pace = load.rate.map(|rate| Pace::start(rate / load.threads as f64, window.to, thread as u64)).transpose()?;
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..own {
        let first = (thread + number * load.threads) * load.requests.len() / load.clients;
        clients.spawn(client(load.clone(), first, window, pace.clone()));
    }
    let mut latencies = Vec::new();
    while let Some(ended) = clients.join_next().await {
        latencies.append(&mut ended??);
    }
    Ok(latencies)
}

/// One client. It begins at a body of its own, so that clients don't send the same at the same time.
async fn client(load: Load, first: usize, window: Window, pace: Option<Pace>) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(load.wire, load.address).await?;
    let mut latencies = Vec::new();
    let bodies = load.requests.len();
    for body in (first..).map(|number| number % bodies) {
        let due = match &pace {
            None => Instant::now(),
            Some(pace) => match pace.due().await {
                Some(due) => due,
                None => break,
            },
        };
        if due >= window.to {
            break;
        }
        connection.call(&load.requests[body], |answer, length| load.check.answer(body, answer, length)).await?;
        let done = Instant::now();
        if window.counts(due, done, pace.is_some()) {
            latencies.push(done - due);
        }
    }
    Ok(latencies)
}

/// A connection of either protocol.
pub enum Connection {
    /// HTTP/1.1.
    Http(http::Http),
    /// gRPC.
    Grpc(grpc::Grpc),
}

impl Connection {
    /// Connects.
    pub async fn open(wire: Wire, address: SocketAddr) -> Result<Self> {
        let stream = tokio::net::TcpStream::connect(address).await.context("can't connect")?;
        stream.set_nodelay(true)?;
        Ok(match wire {
            Wire::Grpc => Self::Grpc(grpc::Grpc::open(stream, address).await?),
            Wire::Json | Wire::Binary | Wire::Process => Self::Http(http::Http::new(stream)),
        })
    }

    /// Sends a request and has its answer checked.
    pub async fn call(
        &mut self,
        request: &Bytes,
        check: impl FnOnce(&[u8], Option<usize>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Http(http) => {
                let (body, json_length) = http.call(request).await?;
                check(body, json_length)
            }
            Self::Grpc(grpc) => check(&grpc.call(request.clone()).await?, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_loop_counts_its_whole_rate_where_answers_take_long() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let window = Window { from: at(1_000), to: at(3_000) };
        // A client whose answers take 800 ms each has 2.5 in 2 s.
        let counted = |first: u64, is_open| {
            (0..5).filter(|turn| window.counts(at(first + turn * 800), at(first + turn * 800 + 800), is_open)).count()
        };
        let over_clients: usize = (0..8).map(|client| counted(client * 100, false)).sum();
        assert_eq!(over_clients, 20, "8 clients of 2.5");
        assert_eq!((counted(900, false), counted(900, true)), (2, 2));
        assert!(window.counts(at(2_900), at(9_000), true) && !window.counts(at(900), at(1_100), true));
    }
}
