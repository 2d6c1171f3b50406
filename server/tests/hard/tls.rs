//! TLS: only callers with a certificate of the release's authority, also after the authority has changed.

use crate::{
    raw,
    support::{
        Serving,
        authority::{Authority, call, nobody, put},
    },
};
use bytes::Bytes;
use http::Method;
use millrace_server::{engine::fake::Gate, tls::Tls};
use rcgen::ExtendedKeyUsagePurpose;
use rustls::ClientConfig;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::net::TcpStream;

const GATEWAY: &str = "gateway.millrace.internal";

/// Asks the server whether it is ready.
async fn ask(address: SocketAddr, caller: &Arc<ClientConfig>) -> Result<u16, String> {
    call(address, caller, Method::GET, "/v2/health/ready", Bytes::new()).await.map(|(status, _)| status)
}

/// A server that lets in callers of the authority in the file that is given besides.
async fn serving(authority: &Authority) -> (Serving, tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    authority.write(&file);
    let tls = Arc::new(Tls::new(file.clone()).unwrap());
    (Serving::start_with("", 1, Gate::default(), Some(tls)).await, folder, file)
}

#[tokio::test]
async fn only_callers_of_the_authority_are_served() {
    let (ours, other) = (Authority::new(), Authority::new());
    let (serving, _folder, _file) = serving(&ours).await;
    for (who, caller) in [
        ("nobody", nobody()),
        ("of another authority", other.caller(GATEWAY)),
        ("a server's certificate", ours.caller_for(GATEWAY, ExtendedKeyUsagePurpose::ServerAuth)),
    ] {
        assert!(ask(serving.address, &caller).await.is_err(), "{who} was served");
    }
    assert_eq!(ask(serving.address, &ours.caller(GATEWAY)).await, Ok(200));
    let (mut read, _write) = raw::begin(serving.address, "GET /v2/health/ready HTTP/1.1\r\nhost: s\r\n\r\n").await;
    assert_eq!(raw::status(&raw::answer(&mut read).await), 0, "without TLS there is no answer");
    assert_eq!(ask(serving.address, &ours.caller(GATEWAY)).await, Ok(200), "refusals leave the server as it was");
}

#[tokio::test]
async fn http2_is_offered() {
    let ours = Authority::new();
    let (serving, _folder, _file) = serving(&ours).await;
    let mut config = (*ours.caller(GATEWAY)).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(serving.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect("server".try_into().unwrap(), stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn a_new_authority_is_taken_while_running() {
    let (first, second) = (Authority::new(), Authority::new());
    let (serving, _folder, file) = serving(&first).await;
    let (old, new) = (first.caller(GATEWAY), second.caller(GATEWAY));
    assert_eq!(ask(serving.address, &old).await, Ok(200));
    assert!(ask(serving.address, &new).await.is_err());
    // Both for a time, as the operator writes it; then the new one alone.
    put(&file, &format!("{}{}", first.pem, second.pem));
    until(|| ask(serving.address, &new), |answer| *answer == Ok(200)).await;
    assert_eq!(ask(serving.address, &old).await, Ok(200));
    second.write(&file);
    until(|| ask(serving.address, &old), Result::is_err).await;
    assert_eq!(ask(serving.address, &new).await, Ok(200));
    // A file that is broken leaves the last good one in force, for longer than the server waits between two looks.
    put(&file, "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        assert_eq!(ask(serving.address, &new).await, Ok(200));
        assert!(ask(serving.address, &old).await.is_err());
    }
}

/// Asks again until the answer is as it should be, and fails if it never is.
async fn until<T: std::fmt::Debug, F: Future<Output = T>>(ask: impl Fn() -> F, good: impl Fn(&T) -> bool) {
    let begun = Instant::now();
    loop {
        let answer = ask().await;
        if good(&answer) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it stays {answer:?}");
    }
}
