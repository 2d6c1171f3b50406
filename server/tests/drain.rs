//! The end of a whole process: SIGTERM under load. The server is this very program, started again with the fake engine.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

mod support;

use bytes::Bytes;
use clap::Parser as _;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use millrace_crds::manifest::Manifest;
use millrace_server::{
    config::{Args, Command as Asked},
    engine::{
        Engine,
        fake::{FakeEngine, Gate},
    },
    load, serve,
};
use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use support::infer_body;
use tokio::net::TcpStream;

/// Set: this process is a server. `hang`: its engine never answers.
const MARK: &str = "MILLRACE_TEST_SERVER";
const DRAIN: Duration = Duration::from_secs(6);
const MANIFEST: &str = "apiVersion: millrace.dev/v1alpha1\nkind: InferenceService\nmetadata: {name: fake}\nspec:\n  model: {uri: 's3://models/fake.onnx'}\n  batching: {maxSize: 4}\n";

/// Not a test: the server, when the tests below start it.
#[test]
fn the_server_itself() {
    let Ok(mode) = std::env::var(MARK) else { return };
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stdout).init();
    let flags = ["server", "serve", "--manifest", "none", "--address", "127.0.0.1:0", "--grpc-address", ""];
    let rest = ["--health-address", "127.0.0.1:0", "--drain", "6s", "--drain-delay", "500ms"];
    let Asked::Serve(options) = Args::try_parse_from(flags.into_iter().chain(rest)).unwrap().command else { panic!() };
    let gate = Gate::default();
    let engine = FakeEngine::new(1, gate.clone()).taking(Duration::from_millis(20));
    let (replica, threads) = load::build(
        &Manifest::from_yaml(MANIFEST).unwrap(),
        vec![Box::new(engine) as Box<dyn Engine>],
        &millrace_server::model::Fetched::nowhere(),
        [Duration::ZERO; 2],
    )
    .unwrap();
    if mode == "hang" {
        gate.close();
    }
    let served = Arc::clone(&replica);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ended = runtime.block_on(serve::live(&options, async { Ok((replica, threads)) }));
    println!("answered={}", served.metrics.totals().success.count);
    std::process::exit(i32::from(ended.is_err()));
}

/// The server, where it answers, and where it tells how it is.
struct Server {
    child: Child,
    output: BufReader<ChildStdout>,
    data: SocketAddr,
    health: SocketAddr,
}

impl Server {
    fn start(mode: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_server_itself", "--nocapture"])
            .env(MARK, mode)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let health = address_after(&mut output, "probes");
        let data = address_after(&mut output, "serving");
        Self { child, output, data, health }
    }

    fn terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Waits for the end: the exit code, and how many requests it says it answered.
    fn wait(mut self) -> (Option<i32>, usize) {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let code = self.child.wait().unwrap().code();
        let answered = rest.split_once("answered=").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
        (code, answered.unwrap_or_else(|| panic!("it doesn't say what it answered: {rest}")))
    }
}

/// The address in the first line of the log that has the word.
fn address_after(output: &mut BufReader<ChildStdout>, word: &str) -> SocketAddr {
    loop {
        let mut line = String::new();
        assert!(output.read_line(&mut line).unwrap() > 0, "the server ended before it was {word}");
        if line.contains(&format!(": {word} ")) {
            let (_, rest) = line.split_once("address=").unwrap();
            return rest.split_whitespace().next().unwrap().trim_matches('"').parse().unwrap();
        }
    }
}

/// What became of the requests.
#[derive(Debug, Default)]
struct Tally {
    answered: AtomicUsize,
    /// Answers after readiness was off.
    late: AtomicUsize,
    refused: AtomicUsize,
    lost: AtomicUsize,
}

/// A connection that the server has taken: one that only the system's queue has would tell nothing of the server.
async fn connect(address: SocketAddr) -> Option<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let live = Request::get("http://server/v2/health/live").body(Full::default()).unwrap();
    sender.send_request(live).await.ok().map(|_| sender)
}

async fn call(sender: &mut SendRequest<Full<Bytes>>) -> hyper::Result<Response<Bytes>> {
    let request = Request::post("http://server/v2/models/fake/infer").body(Full::new(infer_body(&[1.0, 2.0]).into()));
    let (parts, body) = sender.send_request(request.unwrap()).await?.into_parts();
    Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
}

/// Whether the server says that it never took the stream in: what a gateway may send elsewhere.
fn never_begun(error: &hyper::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(inner) = cause {
        if let Some(h2) = inner.downcast_ref::<h2::Error>() {
            let gone = h2.is_go_away() && h2.reason() == Some(h2::Reason::NO_ERROR);
            return gone || h2.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        cause = inner.source();
    }
    error.is_canceled()
}

/// Calls again and again, over connections made anew where the server ends them, until it takes none any more.
async fn caller(address: SocketAddr, tally: Arc<Tally>, unready: Arc<AtomicBool>) {
    while let Some(mut sender) = connect(address).await {
        while sender.ready().await.is_ok() {
            match call(&mut sender).await {
                Ok(answer) if answer.status() == StatusCode::OK => {
                    assert!(answer.body().windows(9).any(|part| part == b"[2.0,3.0]"), "{:?}", answer.body());
                    tally.answered.fetch_add(1, Ordering::SeqCst);
                    tally.late.fetch_add(usize::from(unready.load(Ordering::SeqCst)), Ordering::SeqCst);
                }
                Ok(answer) => {
                    let said = answer.headers().contains_key(millrace_hop::NOT_ADMITTED);
                    assert!(answer.status() == StatusCode::SERVICE_UNAVAILABLE && said, "{answer:?}");
                    tally.refused.fetch_add(1, Ordering::SeqCst);
                }
                Err(error) if never_begun(&error) => _ = tally.refused.fetch_add(1, Ordering::SeqCst),
                Err(error) => {
                    println!("lost: {error:?}");
                    tally.lost.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    }
}

/// Status and body of what is at a path; 0: the server is gone.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let nothing = (0, String::new());
    let Some(stream) = TcpStream::connect(address).await.ok() else { return nothing };
    let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await else {
        return nothing;
    };
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "server").body(Full::<Bytes>::default()).unwrap();
    let Ok(answer) = sender.send_request(request).await else { return nothing };
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    (status, String::from_utf8_lossy(&body).into_owned())
}

async fn probe(address: SocketAddr, path: &str) -> u16 {
    get(address, path).await.0
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn no_admitted_request_is_lost_at_the_end() {
    let server = Server::start("work");
    let (data, health) = (server.data, server.health);
    let (tally, unready) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let callers: Vec<_> =
        (0..12).map(|_| tokio::spawn(caller(data, Arc::clone(&tally), Arc::clone(&unready)))).collect();
    until("load", async || tally.answered.load(Ordering::SeqCst) > 50).await;
    assert_eq!(probe(health, "/readyz").await, 200);
    let begun = Instant::now();
    server.terminate();
    until("readiness is off", async || probe(health, "/readyz").await == 503).await;
    unready.store(true, Ordering::SeqCst);
    assert_eq!(probe(health, "/livez").await, 200, "it must not be restarted while it drains");
    let (code, answered) = tokio::task::spawn_blocking(move || server.wait()).await.unwrap();
    let took = begun.elapsed();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(code, Some(0));
    assert!(took < DRAIN, "nothing was left to wait for, and it took {took:?}");
    assert_eq!(tally.lost.load(Ordering::SeqCst), 0, "{tally:?}");
    assert_eq!(tally.answered.load(Ordering::SeqCst), answered, "each answer reached its caller: {tally:?}");
    assert!(tally.late.load(Ordering::SeqCst) > 0, "it must go on while others learn of its end: {tally:?}");
}

#[tokio::test]
async fn an_engine_that_hangs_doesnt_keep_the_process() {
    let server = Server::start("hang");
    let mut sender = connect(server.data).await.unwrap();
    let stuck = tokio::spawn(async move { call(&mut sender).await });
    let data = server.data;
    until("the request is inside", async || get(data, "/report").await.1.contains("\"inFlight\":1")).await;
    let begun = Instant::now();
    server.terminate();
    let (code, answered) = tokio::task::spawn_blocking(move || server.wait()).await.unwrap();
    let took = begun.elapsed();
    assert_eq!((code, answered), (Some(0), 0));
    assert!(took > DRAIN - Duration::from_millis(500), "what was admitted had no time: {took:?}");
    assert!(took < DRAIN + Duration::from_secs(4), "{took:?}");
    assert!(stuck.await.unwrap().is_err());
}
