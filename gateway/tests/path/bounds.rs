//! Sizes, rates and times.

use crate::bed::*;
use crate::message::*;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt;
use millrace_crds::RateLimit;
use millrace_hop::limits;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_body_above_the_limit_is_refused_by_its_length_and_as_it_comes() {
    let bed = Bed::new().await;
    bed.magika(|request| async {
        match request.into_body().collect().await {
            Ok(whole) => answer(200, whole.to_bytes().len().to_string()),
            Err(_) => answer(500, "broken off"),
        }
    })
    .await;
    bed.service("team-a", "magika", |service| service.access.max_request_bytes = 1000);
    let path = "/team-a/magika/process";
    for reply in [
        bed.call(request(Method::POST, path, vec![0; 1000])).await,
        bed.call_h1(request(Method::POST, path, vec![0; 1000])).await,
    ] {
        assert_eq!((reply.status, reply.text.as_str()), (200, "1000"));
    }
    for reply in [
        bed.call(request(Method::POST, path, vec![0; 1001])).await,
        bed.call_h1(request(Method::POST, path, vec![0; 1001])).await,
    ] {
        assert_eq!(reply.status, 413);
        assert!(reply.error().contains("1000 bytes of access.maxRequestBytes"), "{}", reply.text);
    }
    for chunked in [false, true] {
        let (feed, payload) = fed();
        let (head, _) = request(Method::POST, path, "").into_parts();
        let call = Request::from_parts(head, payload);
        tokio::spawn(async move { while feed.send(Bytes::from(vec![0; 100])).await.is_ok() {} });
        let reply = if chunked { bed.call_h1(call).await } else { bed.call(call).await };
        assert_eq!(reply.status, 413, "chunked: {chunked}");
    }
    let mut large = grpc("ModelInfer", "magika");
    *large.body_mut() = body([frame(b"\x0a\x06magika").to_vec(), vec![0; 2000]].concat());
    assert_eq!(bed.call(large).await.grpc(), "8");
}

/// Servers are told, so that they count what a compressed body decodes to; callers can't tell them otherwise.
#[tokio::test]
async fn limits_go_with_the_request() {
    let bed = Bed::new().await;
    bed.magika(|request| async move {
        let said = [limits::BYTES, limits::JSON_DEPTH].map(|name| request.headers()[name].to_str().unwrap().to_owned());
        answer(200, said.join(" "))
    })
    .await;
    bed.service("team-a", "magika", |service| {
        service.access.max_request_bytes = 1000;
        service.access.max_json_depth = 7;
    });
    let mut call = request(Method::POST, "/team-a/magika/process", "");
    call.headers_mut().insert(limits::BYTES, http::HeaderValue::from_static("100000"));
    assert_eq!(bed.call(call).await.text, "1000 7");
}

#[tokio::test]
async fn rates_and_places_of_service_and_tenant() {
    let bed = Arc::new(Bed::new().await);
    let path = "/team-a/magika/process";
    bed.magika(|_| async { answer(200, "") }).await;
    let limit = RateLimit { requests_per_second: Some(1), burst: Some(2), in_flight: None };
    bed.service("team-a", "magika", |service| service.access.rate_limit = Some(limit));
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let reply = bed.call(request(Method::POST, path, "")).await;
        statuses.push(reply.status);
        if reply.status == 429 {
            assert_eq!(reply.headers["retry-after"], "1");
        }
    }
    assert_eq!(statuses[..3], [200, 200, 429], "{statuses:?}");
    assert_eq!(bed.call(grpc("ModelInfer", "magika")).await.grpc(), "8");

    // The tenant's places are taken by one service and missing in another.
    bed.service("team-a", "magika", |service| service.access.rate_limit = None);
    bed.edit(|inputs| inputs.tenants.get_mut("a").unwrap().rate_limit = Some(in_flight(1)));
    let waiting = {
        let bed = Arc::clone(&bed);
        tokio::spawn(async move { bed.call(request(Method::POST, "/team-a/fraud/process", "")).await.status })
    };
    let held =
        || bed.gateway.reporter.report(&bed.gateway.fleet, false).services.iter().any(|service| service.held > 0);
    until("one is held", held).await;
    assert_eq!(bed.call(request(Method::POST, path, "")).await.status, 429);
    let fraud = bed.server(|_| async { answer(200, "") }).await;
    bed.replica(("team-a", "fraud"), "r1", fraud);
    assert_eq!(waiting.await.unwrap(), 200);
    until("its place is free again", || !held()).await;
    assert_eq!(bed.call(request(Method::POST, path, "")).await.status, 200);
}

#[tokio::test]
async fn a_silent_client_is_let_go() {
    let bed = Bed::with(|settings| settings.body_idle = Duration::from_millis(100)).await;
    bed.magika(|request| async {
        let _ = request.into_body().collect().await;
        answer(200, "must not be reached")
    })
    .await;
    for protocol in ["h2", "http/1.1"] {
        let (feed, payload) = fed();
        feed.send(Bytes::from("start")).await.unwrap();
        let (head, _) = request(Method::POST, "/team-a/magika/process", "").into_parts();
        let call = Request::from_parts(head, payload);
        let reply = if protocol == "h2" { bed.call(call).await } else { bed.call_h1(call).await };
        assert_eq!(reply.status, 408, "{protocol}: {}", reply.text);
        drop(feed);
    }
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_cut_off() {
    let bed = Bed::new().await;
    bed.service("team-a", "magika", |service| service.access.timeout = "200ms".into());
    bed.magika(|request| async move {
        if request.uri().path().contains("slow-start") {
            std::future::pending::<()>().await;
        }
        let frames = futures::stream::iter([Ok(http_body::Frame::data(Bytes::from("half")))]);
        let rest = futures::stream::pending();
        http::Response::new(http_body_util::StreamBody::new(futures::StreamExt::chain(frames, rest)).boxed_unsync())
    })
    .await;
    let reply = bed.call(request(Method::POST, "/team-a/magika/v2/slow-start", "")).await;
    assert_eq!(reply.status, 504);
    let reply = bed.call(request(Method::POST, "/team-a/magika/process", "")).await;
    assert_eq!((reply.status, reply.broken), (200, true));
    let reply = bed.call(grpc("ModelInfer", "magika")).await;
    assert_eq!((reply.grpc(), reply.broken), ("4", false));
}
