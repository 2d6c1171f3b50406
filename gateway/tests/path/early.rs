//! Replicas that serve before Kubernetes calls them ready.

use crate::bed::*;
use crate::message::*;
use http::Method;
use millrace_crds::report::ServerReport;
use millrace_gateway::early;
use millrace_gateway::inputs::{Early, Inputs, PodInput};
use millrace_gateway::watch::{Index, LISTS};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A server that starts: what it says of itself, and how often it was asked.
struct Server {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn new(bed: &Bed, service: &'static str, revision: &'static str, ready: bool) -> Self {
        let (ready, asked) = (Arc::new(AtomicBool::new(ready)), Arc::new(AtomicUsize::new(0)));
        let (says, asks) = (Arc::clone(&ready), Arc::clone(&asked));
        let address = bed.server(move |request| {
            let text = if request.uri().path() == "/report" {
                asks.fetch_add(1, SeqCst);
                let (model, revision) = (service.to_owned(), revision.to_owned());
                let report = ServerReport { model, revision, ready: says.load(SeqCst), ..ServerReport::default() };
                serde_json::to_string(&report).unwrap()
            } else {
                revision.to_owned()
            };
            async { answer(200, text) }
        });
        Self { address: address.await, ready, asked }
    }

    fn pod(&self, service: &str, early: Early) -> PodInput {
        PodInput {
            uid: self.address.to_string(),
            service: service.into(),
            revision: "r1".into(),
            pool: "cpu".into(),
            ip: Some(self.address.ip()),
            port: self.address.port(),
            ready: false,
            early,
        }
    }
}

/// A gateway as it runs: its table follows an index, and so do its questions to starting pods.
fn follow(bed: &Bed) -> Arc<Index> {
    let index = Arc::new(Index::new(bed.inputs()));
    let (published, gateway) = (Arc::clone(&index), Arc::clone(&bed.gateway));
    tokio::spawn(async move { published.publish(&gateway.fleet, watch::channel(LISTS).1).await });
    let (followed, gateway) = (Arc::clone(&index), Arc::clone(&bed.gateway));
    tokio::spawn(async move { early::follow(&followed, &gateway).await });
    index
}

fn put(index: &Index, name: &str, pod: PodInput) {
    index.edit(|inputs| {
        inputs.pods.entry("team-a".into()).or_default().insert(name.into(), pod);
    });
}

fn call(bed: &Arc<Bed>) -> JoinHandle<Reply> {
    let bed = Arc::clone(bed);
    tokio::spawn(async move { bed.call(request(Method::POST, "/team-a/magika/process", "")).await })
}

fn held(bed: &Bed) -> u64 {
    let live = bed.gateway.fleet.load();
    live.services.values().map(|service| service.state.room.held()).sum()
}

fn vouched(index: &Index) -> usize {
    index.read(|inputs: &Inputs| inputs.vouched.len())
}

#[tokio::test]
async fn a_held_request_goes_to_a_server_that_says_it_is_ready() {
    let bed = Arc::new(Bed::new().await);
    let index = follow(&bed);
    let server = Server::new(&bed, "magika", "r1", false).await;
    let waiting = call(&bed);
    until("it is held", || held(&bed) == 1).await;
    put(&index, "p", server.pod("magika", Early::Ask));
    until("the server is asked again and again", || server.asked.load(SeqCst) > 2).await;
    assert_eq!(held(&bed), 1, "a server that says no gets nothing");
    server.ready.store(true, SeqCst);
    assert_eq!(waiting.await.unwrap().text, "r1");
    assert_eq!(bed.gateway.totals.early.get(), 1);
    // The startup probe has passed, readiness isn't there yet: it goes on.
    put(&index, "p", server.pod("magika", Early::Keep));
    assert_eq!(call(&bed).await.unwrap().text, "r1");
}

#[tokio::test]
async fn a_server_that_goes_back_on_its_word_gets_nothing_more() {
    let bed = Arc::new(Bed::new().await);
    let index = follow(&bed);
    let server = Server::new(&bed, "magika", "r1", true).await;
    let waiting = call(&bed);
    put(&index, "p", server.pod("magika", Early::Ask));
    assert_eq!(waiting.await.unwrap().text, "r1");
    server.ready.store(false, SeqCst);
    until("its word is taken back", || vouched(&index) == 0).await;
    let waiting = call(&bed);
    until("the next one is held", || held(&bed) == 1).await;
    server.ready.store(true, SeqCst);
    let asked = server.asked.load(SeqCst);
    put(&index, "p", PodInput { ready: true, ..server.pod("magika", Early::No) });
    assert_eq!(waiting.await.unwrap().text, "r1", "Kubernetes says so");
    assert_eq!(server.asked.load(SeqCst), asked, "it isn't believed twice");
}

#[tokio::test]
async fn pods_that_go_other_revisions_and_services_that_nobody_calls_are_left_alone() {
    let bed = Arc::new(Bed::new().await);
    let index = follow(&bed);
    let leaving = Server::new(&bed, "magika", "r1", true).await;
    let other = Server::new(&bed, "magika", "r2", true).await;
    let idle = Server::new(&bed, "fraud", "r1", true).await;
    let good = Server::new(&bed, "magika", "r1", false).await;
    let waiting = call(&bed);
    until("it is held", || held(&bed) == 1).await;
    put(&index, "leaving", leaving.pod("magika", Early::No));
    put(&index, "other", other.pod("magika", Early::Ask));
    put(&index, "idle", idle.pod("fraud", Early::Ask));
    put(&index, "good", good.pod("magika", Early::Ask));
    until("both that start are asked", || other.asked.load(SeqCst) > 1 && good.asked.load(SeqCst) > 1).await;
    assert_eq!((held(&bed), vouched(&index)), (1, 0), "a server of another revision answered");
    good.ready.store(true, SeqCst);
    assert_eq!(waiting.await.unwrap().text, "r1");
    assert_eq!((leaving.asked.load(SeqCst), idle.asked.load(SeqCst)), (0, 0));
    // Going ends it, whatever its server says.
    put(&index, "good", good.pod("magika", Early::No));
    let waiting = call(&bed);
    until("it is held", || held(&bed) == 1).await;
    waiting.abort();
}

#[tokio::test]
async fn a_server_that_hangs_holds_nobody_up() {
    let bed = Arc::new(Bed::new().await);
    let index = follow(&bed);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let server = Server::new(&bed, "magika", "r1", true).await;
    let hangs = PodInput {
        uid: "hangs".into(),
        ip: Some(address.ip()),
        port: address.port(),
        ..server.pod("magika", Early::Ask)
    };
    let waiting = call(&bed);
    until("it is held", || held(&bed) == 1).await;
    put(&index, "hangs", hangs);
    put(&index, "p", server.pod("magika", Early::Ask));
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap().text, "r1");
}
