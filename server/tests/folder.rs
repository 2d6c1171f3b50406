//! Models of several files from a store: laid out as the manifest names them, each verified, kept in the cache.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

#[path = "support/head.rs"]
mod head;

use clap::Parser as _;
use millrace_crds::manifest::Manifest;
use millrace_server::{
    config::{Args, Command, ModelOptions, ServeOptions},
    model::{self, Fetched, verify},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

/// The least that reads as a model: its version of ONNX.
const MODEL: &[u8] = &[8, 9];
const LABELS: &[u8] = b"cat\ndog\n";
/// Another such.
const VARIANT: &[u8] = &[8, 8];

/// A store with three files; keeps the paths that it was asked for.
async fn store(asked: Arc<Mutex<Vec<String>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = head::read(&mut stream).await;
            let path = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
            let body = match path.as_str() {
                "/pets/onnx/model.onnx" => Some(MODEL),
                "/pets/labels.txt" => Some(LABELS),
                "/pets/int8.onnx" => Some(VARIANT),
                _ => None,
            };
            asked.lock().unwrap().push(path);
            let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
            let body = body.unwrap_or_default();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
            let _ = stream.shutdown().await;
        }
    });
    format!("http://{address}")
}

fn digest(bytes: &[u8]) -> String {
    verify::hex(&Sha256::digest(bytes))
}

fn manifest(files: &[(&str, String)]) -> Manifest {
    let files: Vec<_> = files.iter().map(|(path, sha256)| json!({"path": path, "sha256": sha256})).collect();
    let manifest = json!({"apiVersion": "millrace.dev/v1alpha1", "kind": "InferenceService", "metadata": {"name": "pets"},
        "spec": {"model": {"uri": "https://models/pets/", "files": files}}});
    Manifest::from_yaml(&manifest.to_string()).unwrap()
}

struct Bench {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
    options: ServeOptions,
}

impl Bench {
    async fn new() -> Self {
        let (folder, asked) = (tempfile::tempdir().unwrap(), Arc::default());
        let stores = json!([{"name": "models", "scheme": "https", "endpoint": store(Arc::clone(&asked)).await, "cidrs": ["127.0.0.0/8"]}]);
        let file = folder.path().join("stores.yaml");
        std::fs::write(&file, stores.to_string()).unwrap();
        let cache = folder.path().join("cache");
        let arguments = ["millrace-server", "serve", "--manifest", "none", "--stores"].map(str::to_owned);
        let mut arguments = arguments.to_vec();
        arguments.extend([
            file.to_str().unwrap().to_owned(),
            "--cache-dir".to_owned(),
            cache.to_str().unwrap().to_owned(),
        ]);
        let Command::Serve(options) = Args::try_parse_from(arguments).unwrap().command else { panic!() };
        Self { folder, asked, options }
    }

    async fn obtain(&self, files: &[(&str, String)]) -> Result<Fetched, millrace_server::error::StartError> {
        model::obtain(&manifest(files), &self.options.model, None).await
    }
}

fn good() -> [(&'static str, String); 2] {
    [("onnx/model.onnx", digest(MODEL)), ("labels.txt", digest(LABELS))]
}

/// The files that a store was asked for since the last look.
fn asked(bench: &Bench) -> Vec<String> {
    bench.asked.lock().unwrap().drain(..).collect()
}

#[tokio::test]
async fn servers_of_a_node_fetch_a_model_once_and_believe_nobody() {
    let mut bench = Bench::new().await;
    bench.options.model.node_cache = Some(bench.folder.path().join("node"));
    let first = bench.obtain(&good()).await.unwrap();
    assert!(first.path.starts_with(bench.folder.path().join("node")) && first.held.len() == 1);
    assert_eq!(asked(&bench).len(), 2);
    // Another server of the same node, with a cache of its own.
    bench.options.model.cache_dir = Some(bench.folder.path().join("other"));
    let second = bench.obtain(&good()).await.unwrap();
    assert_eq!((asked(&bench).len(), &second.path), (0, &first.path));
    // Somebody changes a file while the first one reads it: the next server trusts itself alone.
    std::fs::write(first.files.path("labels.txt").unwrap(), b"cat\nfox\n").unwrap();
    drop(second);
    let third = bench.obtain(&good()).await.unwrap();
    assert!(third.path.starts_with(bench.folder.path().join("other")));
    assert_eq!(third.files.read("labels.txt").unwrap(), LABELS);
    assert_eq!(asked(&bench).len(), 2);
    // Nobody reads it any more: the file is fetched anew, and stays.
    drop(first);
    let fourth = bench.obtain(&good()).await.unwrap();
    assert!(fourth.path.starts_with(bench.folder.path().join("node")));
    assert_eq!(fourth.files.read("labels.txt").unwrap(), LABELS);
    assert_eq!(asked(&bench), ["/pets/labels.txt"]);
}

#[tokio::test]
async fn a_node_without_room_costs_no_start() {
    let mut bench = Bench::new().await;
    bench.options.model.node_cache = Some(bench.folder.path().join("node"));
    bench.options.model.node_cache_limit = 1;
    let fetched = bench.obtain(&good()).await.unwrap();
    assert!(fetched.path.starts_with(bench.folder.path().join("cache")) && fetched.held.is_empty());
    assert_eq!(asked(&bench).len(), 2, "fetched once");
    let file = bench.folder.path().join("a-file");
    std::fs::write(&file, b"").unwrap();
    bench.options.model.node_cache = Some(file);
    bench.obtain(&good()).await.unwrap();
}

#[tokio::test]
async fn files_are_laid_out_and_kept() {
    let bench = Bench::new().await;
    let fetched = bench.obtain(&good()).await.unwrap();
    assert!(fetched.path.ends_with("onnx/model.onnx") && std::fs::read(&fetched.path).unwrap() == MODEL);
    assert_eq!(fetched.files.read("labels.txt").unwrap(), LABELS);
    assert_eq!(
        bench.asked.lock().unwrap().drain(..).collect::<Vec<_>>(),
        ["/pets/onnx/model.onnx", "/pets/labels.txt"]
    );
    bench.obtain(&good()).await.unwrap();
    assert!(bench.asked.lock().unwrap().is_empty(), "both are in the cache");
    std::fs::write(fetched.files.path("labels.txt").unwrap(), b"cat\nfox\n").unwrap();
    assert_eq!(bench.obtain(&good()).await.unwrap().files.read("labels.txt").unwrap(), LABELS);
    assert_eq!(*bench.asked.lock().unwrap(), ["/pets/labels.txt"], "only what was damaged is fetched anew");
}

#[tokio::test]
async fn a_variant_is_fetched_in_the_models_place() {
    let bench = Bench::new().await;
    let mut manifest = manifest(&good());
    let variant = json!({"name": "int8", "uri": "https://models/pets/int8.onnx", "sha256": digest(VARIANT), "precision": "INT8", "quality": 1});
    manifest.spec.model.as_mut().unwrap().variants = vec![serde_json::from_value(variant).unwrap()];
    let options = &bench.options.model;
    let fetched = model::obtain(&manifest, options, Some("int8")).await.unwrap();
    assert_eq!((std::fs::read(&fetched.path).unwrap(), fetched.digest), (VARIANT.to_vec(), digest(VARIANT)));
    assert_eq!(fetched.files.read("labels.txt").unwrap(), LABELS);
    assert_eq!(*bench.asked.lock().unwrap(), ["/pets/int8.onnx", "/pets/labels.txt"], "the model itself isn't fetched");
    let own = bench.folder.path().join("own.onnx");
    for (content, expected) in [(VARIANT, Ok(())), (MODEL, Err("DigestMismatch"))] {
        std::fs::write(&own, content).unwrap();
        let options = ModelOptions { variant_file: vec![("int8".to_owned(), own.clone())], ..options.clone() };
        let obtained = model::obtain(&manifest, &options, Some("int8")).await;
        assert_eq!(obtained.map(drop).map_err(|error| error.reason), expected);
    }
    let error = model::obtain(&manifest, options, Some("fp16")).await.unwrap_err();
    assert!(error.message.contains("model.variants has int8"), "{error}");
}

#[tokio::test]
async fn what_is_wrong_names_the_file_and_leaves_nothing_behind() {
    let bench = Bench::new().await;
    let [model, labels] = good();
    for (files, reason, says) in [
        ([model.clone(), ("labels.txt", "0".repeat(64))], "DigestMismatch", "labels.txt: "),
        ([model.clone(), ("none.txt", digest(LABELS))], "FetchFailed", "none.txt: "),
        ([model.clone(), ("../labels.txt", digest(LABELS))], "Invalid", "no plain path"),
        ([("labels.txt", digest(LABELS)), labels.clone()], "Invalid", "named twice"),
        ([labels.clone(), model.clone()], "ModelInvalid", "no ONNX model"),
    ] {
        let error = bench.obtain(&files).await.unwrap_err();
        assert!(error.reason == reason && error.message.contains(says), "{files:?}: {error}");
        assert!(!error.message.contains(bench.folder.path().to_str().unwrap()), "{error}");
    }
    let mut left = vec![bench.folder.path().to_owned()];
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            assert!(!path.to_string_lossy().contains("partial"), "{}", path.display());
            left.extend(path.is_dir().then_some(path));
        }
    }
}
