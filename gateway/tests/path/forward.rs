//! What happens between gateway and server: streams, cancellation, second attempts, weights.

use crate::bed::*;
use crate::message::*;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

async fn read(request: Request<Incoming>) -> Bytes {
    request.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let bed = Bed::new().await;
    // Each piece is answered as it comes: only a gateway that keeps nothing back lets this pass.
    bed.magika(|request| async {
        Response::new(StreamBody::new(request.into_body().into_data_stream_ok()).boxed_unsync())
    })
    .await;
    let (feed, payload) = fed();
    let (head, _) = request(Method::POST, "/team-a/magika/process", "").into_parts();
    let mut sender = bed.h2().await;
    let mut response = sender.send_request(Request::from_parts(head, payload)).await.unwrap();
    for text in ["one", "two", "three"] {
        feed.send(Bytes::from(text)).await.unwrap();
        let frame = tokio::time::timeout(SOON, response.body_mut().frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), text);
    }
    drop(feed);
    let rest = tokio::time::timeout(SOON, response.into_body().collect()).await.unwrap().unwrap();
    assert!(rest.to_bytes().is_empty());
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let bed = Bed::new().await;
    bed.magika(|request| async { answer(200, read(request).await) }).await;
    let payload: Vec<u8> = (0..3_000_000u32).map(|n| b'a' + u8::try_from(n % 26).unwrap()).collect();
    for reply in [
        bed.call(request(Method::POST, "/team-a/magika/process", payload.clone())).await,
        bed.call_h1(request(Method::POST, "/team-a/magika/process", payload.clone())).await,
    ] {
        assert_eq!(reply.status, 200);
        assert!(reply.text.as_bytes() == payload, "{} bytes", reply.text.len());
    }
}

#[tokio::test]
async fn a_client_that_goes_ends_the_request_at_the_server() {
    let bed = Bed::new().await;
    let (began, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let tell = (Arc::clone(&began), Arc::clone(&ended));
    bed.magika(move |_| {
        let (began, ended) = tell.clone();
        async move {
            /// Tells when the handler is dropped.
            struct Dropped(Arc<Notify>);
            impl Drop for Dropped {
                fn drop(&mut self) {
                    self.0.notify_one();
                }
            }
            let _dropped = Dropped(ended);
            began.notify_one();
            std::future::pending::<Response<Body>>().await
        }
    })
    .await;
    let mut sender = bed.h2().await;
    let call =
        tokio::spawn(async move { sender.send_request(request(Method::POST, "/team-a/magika/process", "")).await });
    tokio::time::timeout(SOON, began.notified()).await.unwrap();
    call.abort();
    tokio::time::timeout(SOON, ended.notified()).await.expect("the server hears of it");
    until("nothing is in flight", || report(&bed, "magika").in_flight == 0).await;
    let service = report(&bed, "magika");
    assert_eq!((service.completed, service.failed), (1, 0));
}

fn report(bed: &Bed, name: &str) -> millrace_crds::report::ServiceReport {
    let report = bed.gateway.reporter.report(&bed.gateway.fleet, false);
    report.services.into_iter().find(|service| service.name == name && service.namespace == "team-a").unwrap()
}

#[tokio::test]
async fn what_a_server_did_not_take_in_goes_to_another_one() {
    let bed = Bed::new().await;
    let refusals = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refusals);
    bed.magika(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        async {
            read(request).await;
            let mut full = answer(429, r#"{"error":"the queue is full"}"#);
            full.headers_mut().insert("x-not-admitted", "1".parse().unwrap());
            full
        }
    })
    .await;
    bed.magika(|request| async { answer(200, read(request).await) }).await;
    for number in 0..20 {
        let payload = format!("payload {number}");
        let reply = bed.call(request(Method::POST, "/team-a/magika/process", payload.clone())).await;
        assert_eq!((reply.status, reply.text), (200, payload));
    }
    assert!(refusals.load(Ordering::Relaxed) > 0, "the other one was never asked");
}

#[tokio::test]
async fn a_lone_full_queue_is_the_clients_answer_at_once() {
    let bed = Bed::new().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    bed.magika(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async {
            let mut full = answer(429, r#"{"error":"the queue is full"}"#);
            full.headers_mut().insert("x-not-admitted", "1".parse().unwrap());
            full.headers_mut().insert("retry-after", "3".parse().unwrap());
            full
        }
    })
    .await;
    let reply = bed.call(request(Method::POST, "/team-a/magika/process", "")).await;
    assert_eq!((reply.status, reply.error().as_str()), (429, "the queue is full"));
    assert_eq!(reply.headers["retry-after"], "3");
    assert!(!reply.headers.contains_key("x-not-admitted"));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_a_server_took_in_is_never_sent_twice() {
    let bed = Bed::new().await;
    let asked = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        let count = Arc::clone(&asked);
        bed.magika(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            async { answer(503, r#"{"error":"broken"}"#) }
        })
        .await;
    }
    let reply = bed.call(request(Method::POST, "/team-a/magika/process", "")).await;
    assert_eq!((reply.status, asked.load(Ordering::Relaxed)), (503, 1));
}

#[tokio::test]
async fn a_body_that_is_too_long_to_keep_is_sent_once() {
    let bed = Bed::new().await;
    for _ in 0..2 {
        bed.magika(|request| async {
            read(request).await;
            let mut full = answer(503, r#"{"error":"draining"}"#);
            full.headers_mut().insert("x-not-admitted", "1".parse().unwrap());
            full
        })
        .await;
    }
    let reply = bed.call(request(Method::POST, "/team-a/magika/process", vec![0; 200 << 10])).await;
    assert_eq!(reply.status, 503);
    assert_eq!(bed.gateway.totals.retries.get(), 0);
}

#[tokio::test]
async fn a_dead_replica_costs_no_request() {
    let bed = Bed::new().await;
    bed.magika(|request| async { answer(200, read(request).await) }).await;
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bed.replica(("team-a", "magika"), "r1", dead);
    for _ in 0..20 {
        assert_eq!(bed.call(request(Method::POST, "/team-a/magika/process", "x")).await.text, "x");
    }
}

#[tokio::test]
async fn a_server_that_lets_anybody_in_is_no_server_of_ours_and_none_lets_a_stranger_in() {
    let bed = Bed::new().await;
    let address = bed.server(|_| async { answer(200, "ok") }).await;
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("pod").unwrap();
    let refused = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    assert!(refused.is_err(), "the scripted server demands a client certificate, as real ones do");
    bed.replica(("team-a", "magika"), "r1", address);
    assert_eq!(bed.call(request(Method::POST, "/team-a/magika/process", "")).await.text, "ok");
}

#[tokio::test]
async fn requests_are_shared_by_weight_and_an_id_stays_with_its_revision() {
    let bed = Bed::new().await;
    for revision in ["r1", "r2"] {
        let address = bed.server(move |_| async move { answer(200, revision) }).await;
        bed.replica(("team-a", "magika"), revision, address);
    }
    bed.service("team-a", "magika", |service| {
        let mut canary = service.traffic[0].clone();
        service.traffic[0].weight = 70;
        (canary.revision, canary.weight) = ("r2".into(), 30);
        service.traffic.push(canary);
    });
    let mut sender = bed.h2().await;
    let mut ask = async |id: &str| {
        let mut request = request(Method::POST, "/team-a/magika/process", "");
        request.headers_mut().insert("x-request-id", id.parse().unwrap());
        Reply::read(sender.send_request(request).await.unwrap()).await.text
    };
    let mut canary = 0;
    for number in 0..400 {
        canary += usize::from(ask(&format!("id-{number}")).await == "r2");
    }
    // Six standard deviations around 120.
    assert!((65..175).contains(&canary), "{canary} of 400 went to a revision of weight 30");
    let first = ask("same").await;
    for _ in 0..10 {
        assert_eq!(ask("same").await, first);
    }
}

#[tokio::test]
async fn a_server_that_breaks_off_is_told_as_such_and_counted() {
    let bed = Bed::new().await;
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    bed.magika(move |_| {
        let wait = Arc::clone(&wait);
        async {
            let half = futures::stream::iter([Ok(Frame::data(Bytes::from("half")))]);
            let rest = futures::stream::once(async move {
                wait.notified().await;
                Err(std::io::Error::other("the server dies within its answer"))
            });
            Response::new(StreamBody::new(futures::StreamExt::chain(half, rest)).boxed_unsync())
        }
    })
    .await;
    let mut sender = bed.h2().await;
    let mut response = sender.send_request(request(Method::POST, "/team-a/magika/process", "")).await.unwrap();
    let half = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    go.notify_one();
    let reply = Reply::read(response).await;
    assert_eq!((reply.status, reply.broken, half.as_ref()), (200, true, b"half".as_slice()));
    until("it is counted", || report(&bed, "magika").failed == 1).await;
    go.notify_one();
    let reply = bed.call(grpc("ModelInfer", "team-a.magika")).await;
    assert_eq!((reply.grpc(), reply.broken), ("14", false));
}

#[tokio::test]
async fn reports_count_by_revision_and_pool() {
    let bed = Bed::new().await;
    bed.magika(|_| async { answer(200, "ok") }).await;
    for _ in 0..3 {
        bed.call(request(Method::POST, "/team-a/magika/process", "")).await;
    }
    until("all have ended", || report(&bed, "magika").completed == 3).await;
    let service = report(&bed, "magika");
    assert_eq!((service.arrivals, service.in_flight, service.held, service.failed), (3, 0, 0, 0));
    assert!(service.idle_seconds.is_some());
    assert_eq!(service.latency.buckets.iter().sum::<u64>(), 3);
    let backend = &service.backends[0];
    assert_eq!((backend.revision.as_str(), backend.pool.as_str(), backend.completed), ("r1", "cpu", 3));
    assert_eq!(report(&bed, "fraud").idle_seconds, None);
}

/// A request's body as a body that can't fail.
trait IntoDataStreamOk {
    fn into_data_stream_ok(self) -> impl futures::Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send;
}

impl IntoDataStreamOk for Incoming {
    fn into_data_stream_ok(self) -> impl futures::Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send {
        futures::StreamExt::map(self.into_data_stream(), |data| Ok(Frame::data(data.unwrap())))
    }
}
