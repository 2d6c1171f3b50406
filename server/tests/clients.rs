//! Existing clients, unchanged: each is told where the server is, and nothing else.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

mod support;

use millrace_server::engine::fake::Gate;
use std::process::Command;
use support::{Serving, real::Real};

const MANIFEST: &str = "apiVersion: millrace.dev/v1alpha1\nkind: InferenceService\nmetadata: {name: types}\nspec:\n  model: {uri: 's3://models/types.onnx'}\n  batching: {maxSize: 256}\n  runtime: {executionProviders: [CPU]}\n";

/// The types that KServe's clients know: all but BF16.
const KSERVE: &str = "BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 FP32 FP64 BYTES";

/// A model that gives back what it takes, of each of these types; none: of all.
async fn identity(real: &Real, types: &str) -> Serving {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("types.onnx");
    let mut arguments = vec![model.to_str().unwrap()];
    arguments.extend(types.split_whitespace());
    real.run("identity_model.py", &arguments, "");
    real.serve(MANIFEST, &model).await.unwrap()
}

async fn tritonclient(kind: &str) {
    let Some(real) = Real::here() else { return };
    let serving = identity(&real, "").await;
    let arguments = [serving.address.to_string(), kind.to_owned(), "types".to_owned()];
    real.client("triton_types.py", arguments.into(), 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tritonclient_over_http() {
    tritonclient("http").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tritonclient_over_http_by_asyncio() {
    tritonclient("http.aio").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tritonclient_over_grpc() {
    tritonclient("grpc").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tritonclient_over_grpc_by_asyncio() {
    tritonclient("grpc.aio").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kserve_clients() {
    let Some(real) = Real::here() else { return };
    let serving = identity(&real, KSERVE).await;
    let mut arguments = vec![serving.address.to_string(), "types".to_owned()];
    arguments.extend(KSERVE.split_whitespace().map(str::to_owned));
    real.client("kserve_types.py", arguments, 45).await;
}

/// Triton's load generator reads metadata, configuration and statistics, and stops at the first answer that isn't well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn perf_analyzer() {
    let Some(program) = std::env::var_os("MILLRACE_PERF_ANALYZER").map(std::path::PathBuf::from) else {
        println!("not run: MILLRACE_PERF_ANALYZER names no program (cargo xtask test sets it)");
        return;
    };
    for protocol in ["http", "grpc"] {
        let serving = Serving::start("", 1, Gate::default()).await;
        let mut command = Command::new(&program);
        command.env("LD_LIBRARY_PATH", program.parent().unwrap()).env("NO_PROXY", "*");
        command.args(["-m", "fake", "-i", protocol, "-u", &serving.address.to_string(), "--concurrency-range", "2"]);
        // A few requests are enough: how fast they are on this machine is no matter here.
        command.args(["--measurement-mode", "count_windows", "--measurement-request-count", "50", "-s", "999"]);
        let (ended, said) = run(command).await;
        assert!(ended && said.contains("Successful request count"), "{protocol}: {said}");
        let totals = serving.replica.metrics.totals();
        assert!(totals.success.count > 100 && totals.fail.count == 0, "{protocol}: {totals:?}");
    }
}

/// Whether a program ended well, and all that it said.
async fn run(mut command: Command) -> (bool, String) {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl() {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("not run: there is no curl");
        return;
    }
    let serving = Serving::start("  batching: {maxSize: 256}\n", 1, Gate::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        format!("@{}", path.display())
    };
    let row = r#"{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}"#;
    let many =
        serde_json::json!({"inputs": [{"name": "x", "datatype": "FP32", "shape": [256, 2], "data": vec![7; 512]}]});
    let head =
        r#"{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}]}"#;
    let raw = [head.as_bytes(), &1f32.to_le_bytes(), &2f32.to_le_bytes()].concat();
    // So long that curl asks before it sends, and says so with `Expect: 100-continue`.
    let long = format!("{row}{}", " ".repeat(2 << 20));
    let (json, many, raw, long) = (
        file("json", row.as_bytes()),
        file("many", many.to_string().as_bytes()),
        file("raw", &raw),
        file("long", long.as_bytes()),
    );
    let length = format!("Inference-Header-Content-Length: {}", head.len());
    for (arguments, path, says) in [
        (vec!["--data-binary", &json], "/v2/models/fake/infer", "[2.0,3.0]"),
        (vec!["--http2-prior-knowledge", "--data-binary", &json], "/v2/models/fake/infer", "[2.0,3.0]"),
        (vec!["--compressed", "--data-binary", &many], "/v2/models/fake/infer", "8.0,8.0]"),
        (vec!["--header", &length, "--data-binary", &raw], "/v2/models/fake/infer", "[2.0,3.0]"),
        (vec!["--data-binary", &long], "/v2/models/fake/infer", "[2.0,3.0]"),
        (vec!["--header", "Transfer-Encoding: chunked", "--data-binary", &json], "/v2/models/fake/infer", "[2.0,3.0]"),
        (vec!["--json", r#"{"instances": [[1, 2]]}"#], "/v1/models/fake:predict", r#"{"predictions":[[2.0,3.0]]}"#),
        (vec!["--head"], "/v2/models/fake", "200 OK"),
        (vec![], "/v2/models/fake", r#""datatype":"FP32""#),
    ] {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail-with-body", "--noproxy", "*"]).args(&arguments);
        let (ended, said) = run({
            command.arg(format!("http://{}{path}", serving.address));
            command
        })
        .await;
        assert!(ended && said.contains(says), "{arguments:?} {path}: {said}");
    }
}
