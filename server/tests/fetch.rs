//! Models from stores: over HTTP on this machine, with transfers that break, and stores that may not be asked.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

#[path = "support/head.rs"]
mod head;

use millrace_crds::{conditions::reason, store::Store};
use millrace_server::model::{
    fetch,
    source::{Keys, Source},
    verify,
};
use sha2::{Digest as _, Sha256};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

const MODEL: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// A store that sends `first` bytes of its first answer and then hangs up; later ones are whole. Keeps what it was asked.
async fn store(first: usize, asked: Arc<Mutex<Vec<String>>>) -> Store {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answers = AtomicUsize::new(0);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = head::read(&mut stream).await.to_lowercase();
            let from = head
                .split_once("range: bytes=")
                .map_or(0, |(_, rest)| rest.split('-').next().unwrap().parse().unwrap());
            asked.lock().unwrap().push(head);
            let body = &MODEL[from..];
            let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
            let range = if from > 0 {
                format!("Content-Range: bytes {from}-{}/{}\r\n", MODEL.len() - 1, MODEL.len())
            } else {
                String::new()
            };
            let whole = answers.fetch_add(1, Ordering::SeqCst) > 0;
            let head = format!(
                "HTTP/1.1 {status}\r\n{range}ETag: \"a\"\r\nLast-Modified: Tue, 24 Nov 2026 10:00:00 GMT\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&body[..if whole { body.len() } else { first.min(body.len()) }]).await;
            let _ = stream.shutdown().await;
        }
    });
    Store { name: "models".into(), endpoint: Some(endpoint), cidrs: vec!["127.0.0.0/8".into()], ..Store::default() }
}

fn source(scheme: &str, store: Store) -> Source {
    Source::resolve(&format!("{scheme}://models/a/m.onnx"), &[Store { scheme: scheme.into(), ..store }]).unwrap()
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_broke() {
    let digest = verify::hex(&Sha256::digest(MODEL));
    let keys = Keys { s3: Some(("id".into(), "key".into(), None)), token: Some("t0k".into()) };
    for scheme in ["https", "s3"] {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let source = source(scheme, store(10, Arc::clone(&asked)).await);
        let folder = tempfile::tempdir().unwrap();
        let (path, got) = fetch::fetch(&source, &keys, folder.path(), Some(&digest)).await.unwrap();
        assert_eq!((std::fs::read(path).unwrap(), got), (MODEL.to_vec(), digest.clone()), "{scheme}");
        let asked = asked.lock().unwrap();
        assert!(
            asked.len() >= 2 && asked.iter().skip(1).any(|head| head.contains("range: bytes=10-")),
            "{scheme}: {asked:?}"
        );
        let proof = if scheme == "s3" { "aws4-hmac-sha256" } else { "bearer t0k" };
        assert!(asked[0].contains(proof), "{scheme}: {asked:?}");
        assert!(asked[0].contains("/a/m.onnx"), "{scheme}: {asked:?}");
    }
}

/// A store with one large file, which answers ranges; keeps those it was asked for.
async fn large(file: Arc<Vec<u8>>, asked: Arc<Mutex<Vec<String>>>) -> Store {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let serve = async move |mut stream: TcpStream, file: Arc<Vec<u8>>, asked: Arc<Mutex<Vec<String>>>| {
        let head = head::read(&mut stream).await.to_lowercase();
        let range = head.split_once("range: bytes=").and_then(|(_, rest)| rest.lines().next()).map(str::to_owned);
        let (status, from, to) = match range.as_ref().and_then(|range| range.split_once('-')) {
            Some((from, to)) => ("206 Partial Content", from.parse().unwrap(), to.parse::<usize>().unwrap() + 1),
            None => ("200 OK", 0, file.len()),
        };
        asked.lock().unwrap().extend(range);
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Range: bytes {from}-{}/{}\r\nAccept-Ranges: bytes\r\nETag: \"a\"\r\nLast-Modified: Tue, 24 Nov 2026 10:00:00 GMT\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            to - 1,
            file.len(),
            to - from
        );
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&file[from..to]).await;
        let _ = stream.shutdown().await;
    };
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, Arc::clone(&file), Arc::clone(&asked)));
        }
    });
    Store { name: "models".into(), endpoint: Some(endpoint), cidrs: vec!["127.0.0.0/8".into()], ..Store::default() }
}

#[tokio::test]
async fn a_large_file_comes_in_ranges_and_whole() {
    let file: Arc<Vec<u8>> = Arc::new((0..33u32 << 18).flat_map(u32::to_le_bytes).collect());
    for scheme in ["https", "s3"] {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let source = source(scheme, large(Arc::clone(&file), Arc::clone(&asked)).await);
        let folder = tempfile::tempdir().unwrap();
        let (path, digest) = fetch::fetch(&source, &Keys::default(), folder.path(), None).await.unwrap();
        assert!(std::fs::read(path).unwrap() == *file, "{scheme}");
        assert_eq!(digest, verify::hex(&Sha256::digest(&*file)), "{scheme}");
        let mut asked = asked.lock().unwrap().clone();
        asked.sort_by_key(|range| range.split('-').next().unwrap().parse::<u64>().unwrap());
        let expected = ["0-8388607", "8388608-16777215", "16777216-25165823", "25165824-33554431", "33554432-34603007"];
        assert_eq!(asked, expected, "{scheme}");
    }
}

#[tokio::test]
async fn a_wrong_digest_leaves_nothing_behind() {
    let source = source("https", store(usize::MAX, Arc::default()).await);
    let folder = tempfile::tempdir().unwrap();
    let error = fetch::fetch(&source, &Keys::default(), folder.path(), Some(&"0".repeat(64))).await.unwrap_err();
    assert_eq!(error.reason, reason::DIGEST_MISMATCH);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn private_addresses_need_the_platforms_word() {
    for scheme in ["https", "s3"] {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let store = Store { cidrs: Vec::new(), ..store(usize::MAX, Arc::clone(&asked)).await };
        let by_name = store.endpoint.clone().map(|endpoint| endpoint.replace("127.0.0.1", "localhost"));
        for endpoint in [store.endpoint.clone(), by_name] {
            let source = source(scheme, Store { endpoint, ..store.clone() });
            let folder = tempfile::tempdir().unwrap();
            let error = fetch::fetch(&source, &Keys::default(), folder.path(), None).await.unwrap_err();
            assert_eq!(error.reason, reason::FETCH_FAILED, "{error}");
            assert!(error.message.starts_with(&format!("{scheme}://models/a/m.onnx can't")), "{error}");
        }
        assert!(asked.lock().unwrap().is_empty(), "nothing was even asked");
    }
}
