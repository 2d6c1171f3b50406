//! A store that sends elsewhere: only so often, only over TLS, and only where the platform lets the server go.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

#[path = "support/head.rs"]
mod head;

use millrace_crds::{conditions::reason, store::Store};
use millrace_server::model::{
    fetch,
    source::{Keys, Source},
};
use std::sync::{Arc, Mutex};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// A store over TLS. What it is asked for first it sends to `first`, and `/hops/N` to `/hops/N-1`; `/hops/0` is there. Keeps the
/// paths that it was asked for.
async fn store(first: &str, asked: Arc<Mutex<Vec<String>>>) -> Store {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let (acceptor, first) = (TlsAcceptor::from(Arc::new(config)), first.to_owned());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let head = head::read(&mut stream).await;
            let path = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
            let left = path.strip_prefix("/hops/").and_then(|left| left.parse::<usize>().ok());
            let answer = match left {
                Some(0) => "200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n\u{8}\t".to_owned(),
                left => {
                    let next = left.map_or(first.clone(), |left| format!("/hops/{}", left - 1));
                    format!("302 Found\r\nLocation: {next}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                }
            };
            asked.lock().unwrap().push(path);
            let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    Store {
        scheme: "https".into(),
        name: "models".into(),
        endpoint: Some(endpoint),
        cidrs: vec!["127.0.0.1/32".into()],
        ca: Some(made.cert.pem()),
        ..Store::default()
    }
}

#[tokio::test]
async fn a_store_may_send_elsewhere_three_times_within_what_is_allowed() {
    for (first, times) in [
        ("/hops/0", Some(1)),
        ("/hops/2", Some(3)),
        ("/hops/3", None),
        // Without TLS, to a private address, and to where clouds keep their secrets.
        ("http://localhost:1/hops/0", None),
        ("https://127.0.0.2:1/hops/0", None),
        ("https://[::1]:1/hops/0", None),
        ("https://10.0.0.1/hops/0", None),
        ("https://169.254.169.254/latest/meta-data", None),
    ] {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let store = store(first, Arc::clone(&asked)).await;
        let source = Source::resolve("https://models/a/m.onnx", &[store]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let fetched = fetch::fetch(&source, &Keys::default(), folder.path(), None).await;
        let asked = asked.lock().unwrap();
        match (times, fetched) {
            (Some(times), Ok(_)) => assert_eq!(asked.len(), times + 1, "{first}"),
            (None, Err(error)) => {
                assert_eq!(error.reason, reason::FETCH_FAILED, "{first}: {error}");
                assert!(error.message.contains("sends elsewhere, where this server may not go"), "{first}: {error}");
                assert!(!error.message.contains("169.254"), "{error}");
            }
            (_, fetched) => panic!("{first}: {fetched:?}"),
        }
    }
}
