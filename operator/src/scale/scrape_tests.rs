use super::*;
use crate::testing::authority::{self, Authority, identity};
use http::StatusCode;

fn authority() -> Authority {
    Authority::default()
}

/// A reporter on loopback that answers `body` to clients of `authority`, with a certificate for `name`.
async fn reporter(authority: &Authority, signer: &Authority, name: &str, body: &'static str) -> SocketAddr {
    let answer = move |_| async move { (StatusCode::OK, body.to_owned()) };
    authority::serve(authority, signer, name, answer).await
}

fn report() -> &'static str {
    r#"{"gateway":"g","startedAt":1.0,"generation":2,"services":[]}"#
}

async fn fetch_once(address: SocketAddr, name: Option<&'static str>, identity: Arc<Identity>) -> Result<GatewayReport> {
    fetch(&mut None, Peer { address, name, identity }, "/report").await
}

#[tokio::test]
async fn a_gateway_is_known_by_its_name_and_the_ca() {
    let (ours, other) = (authority(), authority());
    let good = reporter(&ours, &ours, GATEWAY_NAME, report()).await;
    assert_eq!(fetch_once(good, Some(GATEWAY_NAME), identity(&ours)).await.unwrap().generation, 2);
    let misnamed = reporter(&ours, &ours, "operator.millrace.internal", report()).await;
    assert!(fetch_once(misnamed, Some(GATEWAY_NAME), identity(&ours)).await.is_err());
    let foreign = reporter(&ours, &other, GATEWAY_NAME, report()).await;
    assert!(fetch_once(foreign, Some(GATEWAY_NAME), identity(&ours)).await.is_err());
    assert!(fetch_once(good, Some(GATEWAY_NAME), identity(&other)).await.is_err(), "a stranger's certificate");
}

#[tokio::test]
async fn a_server_may_have_any_certificate() {
    let (ours, own) = (authority(), authority());
    let server = reporter(&ours, &own, "whatever", report()).await;
    assert!(fetch_once(server, None, identity(&ours)).await.is_ok());
    assert!(fetch_once(server, Some(GATEWAY_NAME), identity(&ours)).await.is_err());
}

#[tokio::test]
async fn a_connection_is_kept_until_the_identity_changes() {
    let ours = authority();
    let server = reporter(&ours, &ours, GATEWAY_NAME, report()).await;
    let (first, second) = (identity(&ours), identity(&ours));
    let mut line = None;
    for (identity, kept) in [(&first, false), (&first, true), (&second, false)] {
        let before = line.as_ref().map(|line: &Line| Arc::as_ptr(&line.identity));
        let peer = Peer { address: server, name: Some(GATEWAY_NAME), identity: identity.clone() };
        let _: GatewayReport = fetch(&mut line, peer, "/report").await.unwrap();
        assert_eq!(before == line.as_ref().map(|line| Arc::as_ptr(&line.identity)), kept);
    }
}

#[tokio::test]
async fn nonsense_is_an_error() {
    let ours = authority();
    let server = reporter(&ours, &ours, GATEWAY_NAME, "[1, 2").await;
    let error = fetch_once(server, Some(GATEWAY_NAME), identity(&ours)).await.unwrap_err();
    assert!(error.to_string().contains("malformed"), "{error:#}");
}
