//! The commands `quantize` and `evaluate` with a real model: what they print is held to Magika's own code in Python.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

mod support;

use millrace_server::{load, model::verify};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use support::{
    Serving,
    real::{Real, example},
};

/// Length of the fragments that are sent: short enough for a model to be unsure of some.
const FRAGMENT: usize = 160;

/// A folder with a manifest, data, and room for models.
struct Desk {
    real: Real,
    model: PathBuf,
    folder: tempfile::TempDir,
    fragments: Vec<PathBuf>,
}

impl Desk {
    fn here() -> Option<Self> {
        let real = Real::here()?;
        let Some(model) = std::env::var_os("MILLRACE_MAGIKA_MODEL").map(PathBuf::from) else {
            println!("not run: MILLRACE_MAGIKA_MODEL names no model (cargo xtask test sets it)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let sources =
            ["server/src", "operator/src/plan", "tests/python", "examples", "charts/millrace/templates/gateway"];
        let mut files: Vec<PathBuf> = sources
            .iter()
            .flat_map(|source| std::fs::read_dir(root.join(source)).unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .collect();
        files.sort();
        let write = |(at, file): (usize, &PathBuf)| {
            let bytes = std::fs::read(file).unwrap();
            let (third, path) = (&bytes[bytes.len() / 3..], folder.path().join(format!("fragment{at:03}")));
            std::fs::write(&path, &third[..FRAGMENT.min(third.len())]).unwrap();
            path
        };
        let fragments: Vec<PathBuf> = files.iter().enumerate().map(write).collect();
        assert!(fragments.len() > 60, "only {} files were found", fragments.len());
        Some(Self { real, model, folder, fragments })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Data of all fragments, by paths from where the data file is; with labels if there are any.
    fn data(&self, name: &str, labels: Option<&[Value]>) -> String {
        let mut text = String::new();
        for (at, file) in self.fragments.iter().enumerate() {
            let mut line = json!({"input": file.file_name().unwrap().to_str().unwrap()});
            if let Some(labels) = labels {
                line["label"] = labels[at].clone();
            }
            writeln!(text, "{line}").unwrap();
        }
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// The example with variants whose files are in the folder.
    fn manifest(&self, variants: &[&str], least: f64) -> String {
        let mut manifest: Value = serde_saphyr::from_str(&example("magika.yaml")).unwrap();
        let variant = |name: &&str| {
            let digest = verify::digest_of(Path::new(&self.path(&format!("{name}.onnx")))).unwrap();
            json!({"name": name, "uri": format!("s3://models/magika/{name}.onnx"), "sha256": digest, "precision": "INT8", "quality": 0})
        };
        if !variants.is_empty() {
            manifest["spec"]["model"]["variants"] = variants.iter().map(variant).collect();
            manifest["spec"]["model"]["minQuality"] = json!(least);
        }
        std::fs::write(self.path("manifest.yaml"), manifest.to_string()).unwrap();
        self.path("manifest.yaml")
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Output {
        let mut server = Command::new(env!("CARGO_BIN_EXE_millrace-server"));
        server.arg(command).args(arguments).arg("--model-file").arg(&self.model);
        server.arg("--ort-library").arg(&self.real.library).output().unwrap()
    }

    /// Quantises into `NAME.onnx`, and gives the variant that is printed.
    fn quantize(&self, name: &str, more: &[&str]) -> Value {
        let (manifest, output) = (self.manifest(&[], 0.0), self.path(&format!("{name}.onnx")));
        let python = self.real.python.to_str().unwrap();
        let fixed = ["--manifest", &manifest, "--output", &output, "--name", name, "--python", python];
        let ran = self.run("quantize", &[&fixed, more].concat());
        let (printed, said) = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
        assert!(ran.status.success(), "{printed}{said}");
        let (_, yaml) = printed.split_once("variants:\n").unwrap();
        let variants: Vec<Value> = serde_saphyr::from_str(yaml).unwrap();
        let size = |path: &Path| std::fs::metadata(path).unwrap().len();
        assert!(size(Path::new(&output)) < size(&self.model), "8 bits for 32");
        variants.into_iter().next().unwrap()
    }

    /// Evaluates `NAME.onnx` for each name: the exit code, and what is printed.
    fn evaluate(&self, names: &[&str], least: f64, data: &str, more: &[&str]) -> (i32, String) {
        let manifest = self.manifest(names, least);
        let mut arguments: Vec<String> =
            ["--manifest", &manifest, "--data", data, "--seconds", "1"].map(str::to_owned).into();
        for name in names {
            arguments.extend(["--variant-file".to_owned(), format!("{name}={}", self.path(&format!("{name}.onnx")))]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let ran = self.run("evaluate", &arguments);
        let text = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (ran.status.code().unwrap(), if ran.status.code() == Some(1) { text.concat() } else { text[0].clone() })
    }

    /// Labels of the model by Magika's own code, and how often models in the folder agree.
    fn reference(&self, names: &[&str]) -> (Vec<Value>, Vec<f64>) {
        std::fs::write(self.path("list.json"), json!(self.fragments).to_string()).unwrap();
        let mut arguments = vec![self.path("list.json")];
        arguments.extend(names.iter().map(|name| self.path(&format!("{name}.onnx"))));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let told = self.real.python("magika_variants.py", &arguments, "");
        let read = |key: &str| told[key].as_array().unwrap().clone();
        (read("labels"), read("agreement").iter().map(|share| share.as_f64().unwrap()).collect())
    }
}

/// As evaluate rounds: down, to four places.
fn floor(share: f64) -> f64 {
    ((share + 1e-9) * 1e4).floor() / 1e4
}

#[test]
fn what_is_measured_is_what_magikas_own_code_says() {
    let Some(desk) = Desk::here() else { return };
    let names = ["dynamic", "static"];
    let data = desk.data("data.jsonl", None);
    let variant = desk.quantize("dynamic", &[]);
    assert_eq!(variant["uri"], "s3://models/magika/dynamic.onnx");
    assert_eq!(variant["sha256"], verify::digest_of(Path::new(&desk.path("dynamic.onnx"))).unwrap());
    desk.quantize("static", &["--data", &data, "--samples", "40"]);
    let (labels, agreement) = desk.reference(&names);
    println!(
        "{} fragments; agreement by Magika's own code: dynamic {}, static {}",
        labels.len(),
        agreement[0],
        agreement[1]
    );
    assert!(agreement.iter().any(|share| *share < 1.0), "nothing is told by data on which all agree: {agreement:?}");

    let (code, printed) = desk.evaluate(&names, 0.0, &data, &["--json"]);
    assert_eq!(code, 0, "{printed}");
    let told: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(told["heldTo"], "model");
    let measured = told["measured"].as_array().unwrap();
    assert!(measured[0]["variant"].is_null() && measured[0]["quality"] == 1.0);
    for (at, name) in names.iter().enumerate() {
        let row = &measured[at + 1];
        println!("{row}");
        assert_eq!(row["variant"], *name);
        assert_eq!(row["quality"], floor(agreement[at]), "{name}: {agreement:?}");
        assert!(row["fileBytes"].as_u64() < measured[0]["fileBytes"].as_u64());
        for figure in ["/latency/p50", "/latency/p99", "/throughput/perSecond", "/throughput/batch", "/memoryBytes"] {
            assert!(row.pointer(figure).unwrap().as_f64() > Some(0.0), "{figure}: {row}");
        }
    }
    // What is printed for the manifest is what serve reads.
    let pasted: Value = serde_saphyr::from_str(told["variants"].as_str().unwrap()).unwrap();
    assert_eq!(pasted["variants"][0]["quality"], measured[1]["quality"]);
    assert_eq!(pasted["variants"][0]["sha256"], variant["sha256"]);

    // By labels: Magika's own answers, of which every fifth is made wrong. Then the model itself isn't always right.
    let wrong = |(at, label): (usize, &Value)| if at % 5 == 0 { json!("no such type") } else { label.clone() };
    let labels: Vec<Value> = labels.iter().enumerate().map(wrong).collect();
    let (code, printed) = desk.evaluate(&["dynamic"], 0.0, &desk.data("labelled.jsonl", Some(&labels)), &["--json"]);
    assert_eq!(code, 0, "{printed}");
    let told: Value = serde_json::from_str(&printed).unwrap();
    let right = 1.0 - labels.len().div_ceil(5) as f64 / labels.len() as f64;
    assert_eq!(told["heldTo"], "labels");
    assert!((told["measured"][0]["score"]["value"].as_f64().unwrap() - right).abs() < 1e-9, "{told}");
    let of_model = told["measured"][1]["score"]["value"].as_f64().unwrap() / right;
    assert_eq!(told["measured"][1]["quality"], floor(of_model.min(1.0)));
}

#[test]
fn a_variant_below_the_least_quality_is_an_exit_code() {
    let Some(desk) = Desk::here() else { return };
    let data = desk.data("data.jsonl", None);
    desk.quantize("int8", &[]);
    // Another model's weights in the file: of the same shape, and of no use.
    desk.real.run("ruined_model.py", &[&desk.path("int8.onnx"), &desk.path("ruined.onnx")], "");
    let (code, printed) = desk.evaluate(&["int8", "ruined"], 0.9, &data, &[]);
    assert_eq!(code, 2, "{printed}");
    assert!(
        printed.starts_with("Score: share of inputs whose best class is the right one, by the model's own answers")
    );
    assert!(printed.contains("minQuality: 0.9\n"), "{printed}");
    let (code, printed) = desk.evaluate(&["int8", "ruined"], 0.9, &data, &["--variant", "int8"]);
    assert_eq!(code, 0, "{printed}");
    assert!(!printed.contains("ruined"));
    let (code, printed) = desk.evaluate(&["int8"], 0.9, &data, &["--variant", "int4"]);
    assert!(code == 1 && printed.contains("has no variant \"int4\""), "{printed}");
    let (code, printed) = desk.evaluate(&["int8"], 0.9, "/nowhere", &[]);
    assert!(code == 1 && printed.contains("--data: /nowhere can't be read"), "{printed}");
    let wrong: Vec<Value> = desk.fragments.iter().map(|_| json!("no such type")).collect();
    let (code, printed) = desk.evaluate(&["int8"], 0.9, &desk.data("wrong.jsonl", Some(&wrong)), &[]);
    assert!(code == 1 && printed.contains("the model itself answers as none of the labels says"), "{printed}");
}

#[tokio::test]
async fn serve_takes_the_variant_that_it_is_told() {
    let Some(desk) = Desk::here() else { return };
    desk.quantize("int8", &[]);
    let manifest = PathBuf::from(desk.manifest(&["int8"], 0.0));
    let mut options = desk.real.options(&manifest, &desk.model);
    options.variant = Some("int8".to_owned());
    options.model.variant_file = vec![("int8".to_owned(), PathBuf::from(desk.path("int8.onnx")))];
    let (replica, _threads) = load::load(&options).await.unwrap();
    let digest = verify::digest_of(Path::new(&desk.path("int8.onnx"))).unwrap();
    assert!(replica.metrics.render(0, 0).contains(&digest));
    let serving = Serving::with(replica).await;
    let python = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/python/fraud_model.py")).unwrap();
    let (status, text) = serving.post_as("/process", "application/octet-stream", python).await;
    assert!(status == 200 && text.contains("\"python\""), "{text}");
    // Its quality is 0 in this manifest.
    desk.manifest(&["int8"], 0.5);
    let error = load::load(&options).await.err().unwrap();
    assert!(error.message.contains("below model.minQuality 0.5"), "{error}");
}
