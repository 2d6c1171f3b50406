//! The OpenAPI document: it names what is answered, and nothing is answered that it doesn't name.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

mod support;

use millrace_server::{engine::fake::Gate, model::verify};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};
use support::{
    Serving,
    real::{Real, example},
};

async fn document(serving: &Serving) -> Value {
    let (status, text) = serving.get("/openapi.json").await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Each operation: its path, its method, and what the document says of it.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |(method, it)| (&**path, &**method, it)))
        .collect()
}

/// All that is named by `$ref`.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(fields) => fields.iter().for_each(|(key, value)| match value {
            Value::String(target) if key == "$ref" => drop(found.insert(target.clone())),
            value => references(value, found),
        }),
        _ => {}
    }
}

/// Each path that is read is there, and each example is answered well.
async fn holds(serving: &Serving) -> usize {
    let document = document(serving).await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut named = BTreeSet::new();
    references(&document, &mut named);
    for reference in &named {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
    let operations = operations(&document);
    let names: BTreeSet<_> = operations.iter().map(|(_, _, it)| it["operationId"].as_str().unwrap()).collect();
    assert_eq!(names.len(), operations.len(), "names of operations differ");
    let mut examples = 0;
    for (path, method, operation) in operations {
        if method == "get" {
            assert_eq!(serving.get(path).await.0, 200, "{path}");
        }
        let forms = operation["requestBody"]["content"].as_object().into_iter().flatten();
        for (form, example) in forms.filter_map(|(form, media)| Some((form, media.get("example")?))) {
            let (status, text) = serving.post_as(path, form, example.to_string()).await;
            assert_eq!(status, 200, "{path}: {text}");
            examples += 1;
        }
    }
    examples
}

#[tokio::test]
async fn it_is_true_of_the_model_that_is_served() {
    let serving = Serving::start("  batching: {maxSize: 4}\n", 1, Gate::default()).await;
    assert_eq!(holds(&serving).await, 2, "infer, with and without a version");
    let document = document(&serving).await;
    let paths: BTreeSet<_> = operations(&document).into_iter().map(|(path, _, _)| path).collect();
    assert!(
        paths.contains("/v2/models/fake/versions/1/infer") && paths.contains("/v1/models/fake:predict"),
        "{paths:?}"
    );
    for absent in ["/process", "/v1/embeddings", "/metrics", "/report"] {
        assert!(!paths.contains(absent), "{absent}");
    }
    let infer = &document["paths"]["/v2/models/fake/infer"]["post"];
    let input = &infer["requestBody"]["content"]["application/json"]["schema"]["properties"]["inputs"]["items"];
    assert_eq!(
        (&input["properties"]["name"]["const"], &input["properties"]["datatype"]["const"]),
        (&"x".into(), &"FP32".into())
    );
    assert_eq!(input["properties"]["shape"]["prefixItems"][0]["maximum"], 4);
    let answers: Vec<_> = infer["responses"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(answers, ["200", "400", "408", "413", "422", "429", "500", "501", "503", "504"]);
}

/// What is answered must be in the document: status, content type, headers and body, whatever is asked.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method";

async fn schemathesis(real: &Real, serving: &Serving) {
    check(real.command("schemathesis"), serving).await;
}

/// Runs schemathesis as `command` is set up.
async fn check(mut command: Command, serving: &Serving) {
    // Its files (a database of examples, reports) go where they are gone with the test.
    let folder = tempfile::tempdir().unwrap();
    command.current_dir(folder.path());
    command.args(["run", "--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--mode", "all"]);
    command.args(["--seed", "7", "--max-examples", "20", "--generation-database", "none", "--no-color"]);
    command.args(["--continue-on-failure", "--request-timeout", "60", "--suppress-health-check", "all"]);
    command.arg(format!("http://{}/openapi.json", serving.address));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    println!("{}", said.lines().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing_on_tensors() {
    let Some(real) = Real::here() else { return };
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("types.onnx");
    real.run("identity_model.py", &[model.to_str().unwrap(), "FP32", "INT64", "BOOL", "BYTES"], "");
    let manifest = "apiVersion: millrace.dev/v1alpha1\nkind: InferenceService\nmetadata: {name: types}\nspec:\n  model: {uri: 's3://models/types.onnx'}\n  runtime: {executionProviders: [CPU]}\n";
    let serving = real.serve(manifest, &model).await.unwrap();
    holds(&serving).await;
    schemathesis(&real, &serving).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing_on_texts() {
    let Some(real) = Real::here() else { return };
    let serving = real.serve(&example("text-embeddings.yaml"), &real.models.join("minilm")).await.unwrap();
    assert!(holds(&serving).await >= 2, "/process and /v1/embeddings have examples");
    schemathesis(&real, &serving).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing_on_records() {
    let Some(real) = Real::here() else { return };
    let model = real.models.join("fraud/matrix.onnx");
    let text = example("fraud.yaml");
    let pinned = text.split_once("sha256: ").unwrap().1.split_whitespace().next().unwrap().to_owned();
    let serving = real.serve(&text.replace(&pinned, &verify::digest_of(&model).unwrap()), &model).await.unwrap();
    holds(&serving).await;
    schemathesis(&real, &serving).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing_on_bytes() {
    let (Some(real), Some(model)) = (Real::here(), std::env::var_os("MILLRACE_MAGIKA_MODEL").map(PathBuf::from)) else {
        println!("not run: MILLRACE_MAGIKA_MODEL names no model (cargo xtask test sets it)");
        return;
    };
    let serving = real.serve(&example("magika.yaml"), &model).await.unwrap();
    holds(&serving).await;
    schemathesis(&real, &serving).await;
}

/// Checks a service that takes raw bytes: its bodies are files of a folder. Each of these statuses must have been answered to
/// `/process`, and 200 and 400 to tensors.
async fn schemathesis_on_files(real: &Real, serving: &Serving, files: &Path, statuses: &[u16]) {
    let folder = tempfile::tempdir().unwrap();
    let answers = folder.path().join("answers");
    let mut command = real.command("schemathesis");
    let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/python/raw_bodies.py");
    command.env("SCHEMATHESIS_HOOKS", hooks).env("MILLRACE_BODIES", files).env("MILLRACE_ANSWERS", &answers);
    check(command, serving).await;
    let text = std::fs::read_to_string(&answers).unwrap();
    let seen: BTreeSet<_> = text.lines().map(|line| line.split_once(' ').unwrap()).collect();
    println!("{} answers: {seen:?}", text.lines().count());
    let infer = format!("/v2/models/{}/infer", serving.replica.facts.name);
    let wanted = statuses.iter().map(|status| ("/process", *status)).chain([(&*infer, 200), (&*infer, 400)]);
    for (path, status) in wanted {
        assert!(seen.contains(&(path, status.to_string().as_str())), "{path} was never answered {status}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing_on_images() {
    let Some(real) = Real::here() else { return };
    let manifest = example("image-safety.yaml").replace("maxPixels: 16000000", "maxPixels: 100000");
    let manifest = format!("{manifest}  access: {{maxRequestBytes: 700000}}\n");
    let serving = real.serve(&manifest, &real.models.join("nsfw/open-nsfw.onnx")).await.unwrap();
    holds(&serving).await;
    let files = tempfile::tempdir().unwrap();
    // Beside images that are served, one of too many pixels and one of too many bytes.
    for name in ["chessboard_RGB.png", "no_time_for_that_tiny.gif", "cell.png", "horse.png", "astronaut.png"] {
        std::fs::copy(real.models.join("pictures").join(name), files.path().join(name)).unwrap();
    }
    std::fs::write(files.path().join("grey.raw"), 0.5f32.to_le_bytes().repeat(224 * 224 * 3)).unwrap();
    schemathesis_on_files(&real, &serving, files.path(), &[200, 400, 413, 422]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing_on_audio() {
    let Some(real) = Real::here() else { return };
    let manifest = example("voice-activity.yaml").replace("maxSeconds: 300", "maxSeconds: 10");
    let manifest = format!("{manifest}  access: {{maxRequestBytes: 900000}}\n");
    let serving = real.serve(&manifest, &real.models.join("vad/silero_vad.onnx")).await.unwrap();
    holds(&serving).await;
    let (recordings, _) = real.recordings();
    let files = tempfile::tempdir().unwrap();
    // Beside recordings that are served, some of too many seconds and one of too many bytes.
    for name in ["tone.flac", "short.wav", "silence.wav", "telephone.wav", "speech.flac", "studio.wav"] {
        std::fs::copy(recordings.path().join(name), files.path().join(name)).unwrap();
    }
    std::fs::write(files.path().join("zeros.raw"), [0; 8]).unwrap();
    schemathesis_on_files(&real, &serving, files.path(), &[200, 400, 413, 422]).await;
}
