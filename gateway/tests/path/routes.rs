//! The ways to name a service, and what its server gets to see.

use crate::bed::*;
use crate::message::*;
use http::{Method, Request};
use std::sync::{Arc, Mutex};

/// A server that answers with the path that it got.
async fn echo_path(bed: &Bed) {
    bed.magika(|request| async move { answer(200, request.uri().path_and_query().unwrap().to_string()) }).await;
}

#[tokio::test]
async fn by_path_host_and_model() {
    let bed = Bed::new().await;
    echo_path(&bed).await;
    for (host, path, expect) in [
        ("gateway.example", "/team-a/magika/process", "/process"),
        ("gateway.example", "/team-a/magika/v2/models/magika/infer?a=b", "/v2/models/magika/infer?a=b"),
        ("magika.team-a.models.example", "/process", "/process"),
        ("magika.team-a", "/v2/models/magika", "/v2/models/magika"),
        ("gateway.example", "/v2/models/magika/infer", "/v2/models/magika/infer"),
        ("gateway.example", "/v2/models/team-a.magika/infer", "/v2/models/team-a.magika/infer"),
        ("gateway.example", "/v1/models/magika:predict", "/v1/models/magika:predict"),
    ] {
        let make = || {
            let mut request = request(Method::POST, path, "");
            *request.uri_mut() = format!("https://{host}{path}").parse().unwrap();
            request
        };
        for reply in [bed.call(make()).await, bed.call_h1(make()).await] {
            assert_eq!((reply.status, reply.text.as_str()), (200, expect), "{host} {path}");
        }
    }
    for (path, status) in [
        ("/team-a/unknown/process", 404),
        ("/v2/models/unknown/infer", 404),
        ("/team-a/magika/metrics", 404),
        ("/team-a/magika/report", 404),
        ("/v2/models/team-a.unknown", 404),
        ("/team-a/magika/v2/%2e%2e/report", 400),
    ] {
        let reply = bed.call(request(Method::GET, path, "")).await;
        assert_eq!(reply.status, status, "{path}");
        assert!(!reply.error().contains("127.0.0.1"), "{}", reply.text);
    }
}

#[tokio::test]
async fn two_services_of_one_name_must_be_told_apart() {
    let bed = Bed::new().await;
    echo_path(&bed).await;
    bed.edit(|inputs| {
        inputs.namespaces.insert("team-b".into(), [("tenant".to_owned(), "a".to_owned())].into());
    });
    let reply = bed.call(request(Method::POST, "/v2/models/magika/infer", "")).await;
    assert_eq!(reply.status, 400);
    assert!(reply.error().contains("team-a.magika, team-b.magika"), "{}", reply.text);
    let reply = bed.call(grpc("ModelInfer", "magika")).await;
    assert_eq!(reply.grpc(), "3");
    let index = bed.call(request(Method::POST, "/v2/repository/index", "")).await;
    let rows: serde_json::Value = serde_json::from_str(&index.text).unwrap();
    let names: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fraud", "team-a.magika", "team-b.magika"]);
}

#[tokio::test]
async fn the_gateway_answers_for_itself() {
    let bed = Bed::new().await;
    for (path, expect) in [
        ("/v2/health/live", r#"{"live":true}"#),
        ("/v2/health/ready", r#"{"ready":true}"#),
        ("/v1/models", r#"{"models":["fraud","magika"]}"#),
    ] {
        assert_eq!(bed.call_h1(request(Method::GET, path, "")).await.text, expect);
    }
    let metadata = bed.call(request(Method::GET, "/v2", "")).await.text;
    assert!(metadata.contains(r#""name":"millrace""#), "{metadata}");
    let live = bed.call(grpc("ServerLive", "")).await;
    assert_eq!((live.grpc(), live.text.as_bytes()), ("0", &*frame(&[8, 1])));
    let index = bed.call(grpc("RepositoryIndex", "")).await;
    assert!(index.text.contains("magika") && index.text.contains("READY"), "{:?}", index.text);
}

#[tokio::test]
async fn a_server_sees_neither_key_nor_claims() {
    let bed = Bed::new().await;
    let seen = Arc::new(Mutex::new(None));
    let tell = Arc::clone(&seen);
    bed.magika(move |request: Request<_>| {
        *tell.lock().unwrap() = Some(request.headers().clone());
        async {
            let mut response = answer(200, "ok");
            response.headers_mut().insert("x-millrace-inner", "1".parse().unwrap());
            response.headers_mut().insert("content-type", "text/x-test".parse().unwrap());
            response
        }
    })
    .await;
    let mut call = request(Method::POST, "/team-a/magika/process", "payload");
    for (name, value) in [
        ("x-millrace-tenant", "other"),
        ("x-forwarded-client-cert", "cn=operator"),
        ("cookie", "a=b"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("x-request-id", "mine-1"),
        ("inference-header-content-length", "3"),
    ] {
        call.headers_mut().insert(name, value.parse().unwrap());
    }
    let reply = bed.call_h1(call).await;
    assert_eq!(reply.headers["x-request-id"], "mine-1");
    assert_eq!(reply.headers["content-type"], "text/x-test");
    assert!(!reply.headers.contains_key("x-millrace-inner"));
    let seen = seen.lock().unwrap().take().unwrap();
    for name in ["x-api-key", "x-millrace-tenant", "x-forwarded-client-cert", "cookie", "host"] {
        assert!(!seen.contains_key(name), "{name}");
    }
    for name in
        ["traceparent", "x-request-id", "inference-header-content-length", "x-request-timeout", "content-length"]
    {
        assert!(seen.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_restart() {
    let bed = Bed::new().await;
    echo_path(&bed).await;
    assert_eq!(bed.call(request(Method::GET, "/v2", "")).await.status, 200);
    bed.rotate();
    assert_eq!(bed.call(request(Method::GET, "/v2", "")).await.status, 200);
    std::fs::write(bed.dir.path().join("tls.key"), "half").unwrap();
    bed.public.reload();
    assert_eq!(bed.call(request(Method::GET, "/v2", "")).await.status, 200, "the last good pair stays");
}
