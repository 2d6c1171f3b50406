//! Who gets in: every route, each protocol, with no key and with a bad one.

use crate::bed::*;
use crate::message::*;
use http::Method;
use millrace_crds::Authentication;

const PATHS: [(&str, &str); 22] = [
    ("GET", "/"),
    ("GET", "/v2"),
    ("GET", "/v2/health/live"),
    ("GET", "/v2/health/ready"),
    ("POST", "/v2/repository/index"),
    ("POST", "/v2/repository/models/magika/load"),
    ("GET", "/v2/models/magika"),
    ("GET", "/v2/models/magika/ready"),
    ("POST", "/v2/models/magika/infer"),
    ("POST", "/v2/models/team-a.magika/versions/1/infer"),
    ("POST", "/v2/models/unknown/infer"),
    ("GET", "/v1/models"),
    ("POST", "/v1/models/magika:predict"),
    ("POST", "/v1/embeddings"),
    ("POST", "/team-a/magika/process"),
    ("POST", "/team-a/magika/v2/models/magika/infer"),
    ("GET", "/team-a/magika/metrics"),
    ("GET", "/team-x/unknown/v2"),
    ("GET", "/metrics"),
    ("GET", "/report"),
    ("OPTIONS", "/v2"),
    ("DELETE", "/team-a/magika/v2"),
];
const METHODS: [&str; 9] = [
    "ServerLive",
    "ServerReady",
    "ServerMetadata",
    "RepositoryIndex",
    "ModelReady",
    "ModelMetadata",
    "ModelInfer",
    "ModelStreamInfer",
    "Unknown",
];

/// Every route over every protocol, with the change of a request that takes its credential away or spoils it.
async fn refused(bed: &Bed, key: Option<&str>) {
    let spoil = |request: http::Request<Body>| {
        let mut request = without_key(request);
        if let Some(key) = key {
            request.headers_mut().insert("authorization", key.parse().unwrap());
        }
        request
    };
    for (method, path) in PATHS {
        let method: Method = method.parse().unwrap();
        for host in ["gateway.example", "magika.team-a.models.example", "magika.team-a"] {
            let make = || {
                let mut plain = spoil(request(method.clone(), path, ""));
                *plain.uri_mut() = format!("https://{host}{path}").parse().unwrap();
                plain
            };
            for reply in [bed.call(make()).await, bed.call_h1(make()).await] {
                assert_eq!(reply.status, 401, "{method} {host} {path}: {}", reply.text);
                assert!(reply.error().contains("API key"), "{}", reply.text);
            }
        }
    }
    for method in METHODS {
        let reply = bed.call(spoil(grpc(method, "magika"))).await;
        assert_eq!((reply.status, reply.grpc()), (200, "16"), "{method}");
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_key() {
    let bed = Bed::new().await;
    bed.magika(|_| async { answer(200, "must not be reached") }).await;
    refused(&bed, None).await;
    refused(&bed, Some("Bearer mr_wrong")).await;
}

#[tokio::test]
async fn a_service_for_all_opens_no_other_one() {
    let bed = Bed::new().await;
    bed.magika(|_| async { answer(200, "must not be reached") }).await;
    bed.edit(|inputs| inputs.tenants.get_mut("a").unwrap().allow_anonymous = true);
    bed.service("team-a", "fraud", |service| service.access.authentication = Authentication::None);
    let fraud = bed.server(|_| async { answer(200, "open") }).await;
    bed.replica(("team-a", "fraud"), "r1", fraud);
    refused(&bed, None).await;
    refused(&bed, Some("Bearer mr_wrong")).await;
    for path in ["/team-a/fraud/process", "/v2/models/fraud/infer"] {
        let reply = bed.call(without_key(request(Method::POST, path, ""))).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, "open"), "{path}");
    }
    let reply = bed.call(without_key(grpc("ModelInfer", "fraud"))).await;
    assert_eq!(reply.text, "open");
}

#[tokio::test]
async fn a_key_is_good_for_its_tenant_only() {
    let bed = Bed::new().await;
    bed.magika(|_| async { answer(200, "a") }).await;
    let b = bed.server(|_| async { answer(200, "b") }).await;
    bed.replica(("team-b", "magika"), "r1", b);
    let call = |path: &'static str, key: &'static str| {
        let mut request = request(Method::POST, path, "");
        request.headers_mut().insert("x-api-key", key.parse().unwrap());
        bed.call(request)
    };
    assert_eq!(call("/team-a/magika/process", KEY_A).await.text, "a");
    assert_eq!(call("/team-b/magika/process", KEY_B).await.text, "b");
    assert_eq!(call("/v2/models/magika/infer", KEY_A).await.text, "a", "a bare name is the caller's own");
    assert_eq!(call("/v2/models/magika/infer", KEY_B).await.text, "b");
    assert_eq!(call("/team-b/magika/process", KEY_A).await.status, 403);
    assert_eq!(call("/v2/models/team-b.magika/infer", KEY_A).await.status, 403);
    assert_eq!(call("/v2/models/fraud/infer", KEY_B).await.status, 404, "what isn't one's own isn't told apart");
    let reply = bed.call(grpc("ModelInfer", "team-b.magika")).await;
    assert_eq!(reply.grpc(), "7");
    bed.edit(|inputs| inputs.tenants.get_mut("a").unwrap().keys.clear());
    assert_eq!(call("/team-a/magika/process", KEY_A).await.status, 401, "a key that was taken away");
}
