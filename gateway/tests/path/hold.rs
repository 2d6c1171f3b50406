//! Requests for a service at zero.

use crate::bed::*;
use crate::message::*;
use http::Method;
use millrace_crds::{Condition, ConditionStatus};
use std::time::{Duration, Instant};

fn held(bed: &Bed) -> u64 {
    let report = bed.gateway.reporter.report(&bed.gateway.fleet, false);
    report.services.iter().map(|service| service.held).sum()
}

#[tokio::test]
async fn a_request_waits_for_its_replica_and_wakes_the_scaler_once() {
    let bed = std::sync::Arc::new(Bed::new().await);
    let calls: Vec<_> = (0..5)
        .map(|number| {
            let bed = std::sync::Arc::clone(&bed);
            let payload = format!("payload {number}");
            tokio::spawn(async move {
                let reply = bed.call(request(Method::POST, "/team-a/magika/process", payload.clone())).await;
                assert_eq!((reply.status, reply.text), (200, payload));
            })
        })
        .collect();
    let start = Instant::now();
    assert!(bed.gateway.reporter.wait(SOON).await);
    assert!(start.elapsed() < SOON, "the report was not answered at once");
    until("all are held", || held(&bed) == 5).await;
    let report = bed.gateway.reporter.report(&bed.gateway.fleet, false);
    let magika = report.services.iter().find(|service| service.held > 0).unwrap();
    assert_eq!((magika.in_flight, magika.arrivals), (0, 5), "who waits isn't in flight");
    let short = Duration::from_millis(50);
    let start = Instant::now();
    bed.gateway.reporter.wait(short).await;
    assert!(start.elapsed() >= short, "five that wait are one wake-up");
    bed.magika(|request| async {
        answer(200, http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes())
    })
    .await;
    for call in calls {
        tokio::time::timeout(SOON, call).await.unwrap().unwrap();
    }
    assert_eq!(held(&bed), 0);
}

#[tokio::test]
async fn no_more_wait_than_may() {
    let bed = std::sync::Arc::new(Bed::with(|settings| settings.hold.requests = 2).await);
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let bed = std::sync::Arc::clone(&bed);
            tokio::spawn(async move { bed.call(request(Method::POST, "/team-a/magika/process", "")).await.status })
        })
        .collect();
    until("two are held", || held(&bed) == 2).await;
    let reply = bed.call(request(Method::POST, "/team-a/magika/process", "")).await;
    assert_eq!(reply.status, 429);
    assert_eq!(reply.headers["retry-after"], "1");
    bed.magika(|_| async { answer(200, "") }).await;
    for call in waiting {
        assert_eq!(call.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn the_wait_ends_with_the_requests_time() {
    let bed = Bed::new().await;
    bed.service("team-a", "magika", |service| service.access.timeout = "200ms".into());
    let reply = bed.call(request(Method::POST, "/team-a/magika/process", "")).await;
    assert_eq!(reply.status, 504);
    let reply = bed.call(grpc("ModelInfer", "magika")).await;
    assert_eq!(reply.grpc(), "4");
    until("none is held", || held(&bed) == 0).await;
}

#[tokio::test]
async fn the_caller_may_ask_for_less_time() {
    let bed = Bed::new().await;
    let start = Instant::now();
    let mut call = request(Method::POST, "/team-a/magika/process", "");
    call.headers_mut().insert("x-request-timeout", "100ms".parse().unwrap());
    assert_eq!(bed.call(call).await.status, 504);
    let mut call = grpc("ModelInfer", "magika");
    call.headers_mut().insert("grpc-timeout", "100m".parse().unwrap());
    assert_eq!(bed.call(call).await.grpc(), "4");
    assert!(start.elapsed() < Duration::from_secs(10), "the service's 15 s were waited for");
}

#[tokio::test]
async fn where_no_replica_can_come_the_reason_is_told() {
    let bed = std::sync::Arc::new(Bed::new().await);
    let waiting = {
        let bed = std::sync::Arc::clone(&bed);
        tokio::spawn(async move { bed.call(request(Method::POST, "/team-a/magika/process", "")).await })
    };
    until("it is held", || held(&bed) == 1).await;
    let condition = |type_: &str, status, reason: &str| Condition {
        type_: type_.into(),
        status,
        reason: reason.into(),
        message: "the image can't be pulled".into(),
        observed_generation: None,
        last_transition_time: String::new(),
    };
    bed.service("team-a", "magika", |service| {
        service.conditions = vec![
            condition("Ready", ConditionStatus::False, "ImagePullFailed"),
            condition("Stalled", ConditionStatus::True, "ImagePullFailed"),
        ];
    });
    for reply in [waiting.await.unwrap(), bed.call(request(Method::POST, "/team-a/magika/process", "")).await] {
        assert_eq!(reply.status, 503);
        assert!(reply.error().contains("ImagePullFailed: the image can't be pulled"), "{}", reply.text);
    }
    // Replicas that run go on running, whatever became of the spec.
    bed.magika(|_| async { answer(200, "still here") }).await;
    assert_eq!(bed.call(request(Method::POST, "/team-a/magika/process", "")).await.text, "still here");
}

#[tokio::test]
async fn a_service_that_is_deleted_lets_its_callers_go() {
    let bed = std::sync::Arc::new(Bed::new().await);
    let waiting = {
        let bed = std::sync::Arc::clone(&bed);
        tokio::spawn(async move { bed.call(request(Method::POST, "/team-a/magika/process", "")).await.status })
    };
    until("it is held", || held(&bed) == 1).await;
    bed.edit(|inputs| drop(inputs.services.get_mut("team-a").unwrap().remove("magika")));
    assert_eq!(waiting.await.unwrap(), 404);
}

#[tokio::test]
async fn replicas_that_all_refuse_are_waited_for() {
    let bed = std::sync::Arc::new(Bed::new().await);
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bed.replica(("team-a", "magika"), "r1", dead);
    let waiting = {
        let bed = std::sync::Arc::clone(&bed);
        tokio::spawn(async move { bed.call(request(Method::POST, "/team-a/magika/process", "")).await.text })
    };
    until("it is held", || held(&bed) == 1).await;
    bed.magika(|_| async { answer(200, "here") }).await;
    assert_eq!(waiting.await.unwrap(), "here");
}
