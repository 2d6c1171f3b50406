//! Each manifest in `examples/` is applied: it serves and answers, or it is refused with the reason that is stated here.

use crate::{SOON, product};
use millrace_testbed::{Cache, tools::Models};
use millrace_tests::{Answer, Bed, Service, model, python};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What comes of an example.
enum Outcome {
    /// It serves; the answer to `known()` is the reference's.
    Answers,
    /// It serves embeddings: those of the reference, and OpenAI's client is served.
    Embeds,
    /// It serves scores of records: those of scikit-learn.
    Scores,
    /// It serves scores of pictures: those of the model's package.
    Judges,
    /// It serves stretches of speech: those of the model's package.
    Hears,
    /// It serves its variant of this name, which answers as Magika does.
    Varies(&'static str),
    /// It reads images: the lines of RapidOCR.
    Reads,
    /// It is refused: condition and reason.
    Refused(&'static str, &'static str),
    /// It is no service of its own: the release's set-up applies it, or a test that takes it back.
    SetUp,
}

fn outcomes() -> BTreeMap<&'static str, Outcome> {
    use Outcome::{Answers, Embeds, Hears, Judges, Reads, Refused, Scores, SetUp, Varies};
    BTreeMap::from([
        ("pools.yaml", SetUp),
        ("tenant.yaml", SetUp),
        ("magika.yaml", Answers),
        ("batching.yaml", Answers),
        ("ordered-placement.yaml", Answers),
        ("cost-limit.yaml", Answers),
        ("rate-limit.yaml", Answers),
        ("anonymous.yaml", Answers),
        ("data-residency.yaml", Answers),
        ("high-availability.yaml", Answers),
        ("latency-objective.yaml", Answers),
        ("scale-to-zero.yaml", Answers),
        ("standby.yaml", SetUp),
        ("canary.yaml", Refused("Accepted", "NotSupported")),
        ("signed-model.yaml", Refused("Accepted", "NotSupported")),
        ("explain.yaml", Refused("Accepted", "NotSupported")),
        ("audit.yaml", Refused("Accepted", "NotSupported")),
        ("ocr-graph.yaml", Reads),
        ("text-embeddings.yaml", Embeds),
        ("fraud.yaml", Scores),
        ("image-safety.yaml", Judges),
        ("voice-activity.yaml", Hears),
        ("variants.yaml", Varies("int8")),
        ("per-node.yaml", Refused("Accepted", "NotSupported")),
        ("job.yaml", Refused("Accepted", "NotSupported")),
        ("tensorrt.yaml", Refused("WorkloadAvailable", "ProviderUnavailable")),
    ])
}

#[test]
fn each_example_does_what_it_says() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    let outcomes = outcomes();
    for file in &files {
        assert!(outcomes.contains_key(file.as_str()), "say in {} what comes of examples/{file}", file!());
    }
    for (file, outcome) in outcomes {
        let text = Bed::example(file).unwrap();
        match outcome {
            Outcome::SetUp => continue,
            Outcome::Answers => answers(file, &text),
            Outcome::Embeds => embeds(&text),
            Outcome::Scores => scores(&text),
            Outcome::Judges => judges(&text),
            Outcome::Hears => hears(&text),
            Outcome::Varies(variant) => varies(file, &text, variant),
            Outcome::Reads => reads(&text),
            Outcome::Refused(condition, reason) => refused(file, &text, condition, reason),
        }
        println!("examples/{file}: as stated");
    }
}

/// The object of an example that is spoken of: the last one.
fn subject(text: &str) -> Value {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    documents.into_iter().next_back().unwrap()
}

/// The service of an example, applied and ready.
fn served(text: &str) -> Service {
    product().bed.apply(text).unwrap();
    let name = subject(text)["metadata"]["name"].as_str().unwrap().to_owned();
    let service = Service { product: product().clone(), name };
    service.wait_ready(SOON).unwrap();
    service
}

fn models() -> std::path::PathBuf {
    Models::of(&Cache::open().unwrap()).unwrap().folder
}

fn embeds(text: &str) {
    let service = served(text);
    let texts = ["A man is eating food.", "Ein Mann isst etwas.", "日本語 🦀", ""];
    let theirs = model::minilm_embeddings(&product().bed, &models().join("minilm"), &texts).unwrap();
    let call = service.call("/process").header("Content-Type: application/json");
    let answer = call.body(json!(texts).to_string()).send().unwrap();
    assert_eq!(answer.status, 200, "{} {}", answer.error(), answer.problem);
    let ours: Vec<Vec<f64>> = serde_json::from_value(answer.json()).unwrap();
    for ((text, ours), theirs) in texts.iter().zip(&ours).zip(&theirs) {
        let cosine: f64 = ours.iter().zip(theirs).map(|(a, b)| a * b).sum();
        assert!(ours.len() == theirs.len() && (cosine - 1.0).abs() < 1e-4, "{text}: cosine {cosine}");
    }
    let base = format!("{}/team-a/{}/v1", product().url(), service.name);
    let tokenizer = models().join("minilm/tokenizer.json").display().to_string();
    let ca = service.product.ca.display().to_string();
    let arguments = [base.as_str(), &service.name, &product().key, &ca, &tokenizer];
    let Value::Object(seen) = python(&product().bed, "openai_client.py", &arguments).unwrap() else {
        panic!("no object")
    };
    let failed: Vec<_> = seen.iter().filter(|(_, value)| **value != Value::Bool(true)).collect();
    assert!(failed.is_empty() && !seen.is_empty(), "{failed:?}");
    service.delete().unwrap();
}

fn scores(text: &str) {
    let service = served(&pinned(text, "/spec/model/sha256", "fraud/matrix.onnx"));
    let cases: Value = serde_json::from_slice(&std::fs::read(models().join("fraud/cases.json")).unwrap()).unwrap();
    let answer = service.process(cases["records"].to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{} {}", answer.error(), answer.problem);
    let (ours, theirs) = (answer.json(), cases["matrix"].as_array().unwrap().clone());
    assert_eq!(ours.as_array().map(Vec::len), Some(theirs.len()));
    for (at, theirs) in theirs.iter().enumerate() {
        let (ours, theirs) = (ours[at]["fraud"].as_f64().unwrap(), theirs[1].as_f64().unwrap());
        assert!((ours - theirs).abs() < 1e-5, "record {at}: {ours}, and scikit-learn says {theirs}");
    }
    service.delete().unwrap();
}

fn judges(text: &str) {
    let service = served(text);
    let named = ["astronaut.png", "coffee.png", "logo.png", "rocket.jpg", "no_time_for_that_tiny.gif"];
    let pictures = named.map(|name| models().join("pictures").join(name));
    let theirs = model::nsfw_scores(&product().bed, &models(), &pictures).unwrap();
    for (picture, theirs) in pictures.iter().zip(&theirs) {
        let answer = service.process(&std::fs::read(picture).unwrap()).unwrap();
        assert_eq!(answer.status, 200, "{} {}", answer.error(), answer.problem);
        let (ours, theirs) = (answer.json()["nsfw"].as_f64().unwrap(), theirs["nsfw"].as_f64().unwrap());
        // Decoders of JPEG differ by a little.
        let tolerance = if picture.extension().is_some_and(|ending| ending == "jpg") { 1e-2 } else { 1e-4 };
        assert!((ours - theirs).abs() < tolerance, "{}: {ours}, and the reference says {theirs}", picture.display());
    }
    let refused = service.process(b"no picture").unwrap();
    assert!(refused.status == 400 && refused.error().contains("no JPEG"), "{} {}", refused.status, refused.error());
    service.delete().unwrap();
}

fn hears(text: &str) {
    let service = served(text);
    let audio = models().join("audio/sample.wav");
    let theirs = model::speech_stretches(&product().bed, &models(), &audio).unwrap();
    let answer = service.process(&std::fs::read(&audio).unwrap()).unwrap();
    assert_eq!(answer.status, 200, "{} {}", answer.error(), answer.problem);
    let ours = answer.json().as_array().unwrap().clone();
    assert!(ours.len() == theirs.len() && !ours.is_empty(), "{ours:?} {theirs:?}");
    for (ours, [start, end]) in ours.iter().zip(theirs) {
        let samples = |key: &str| ours[key].as_f64().unwrap() * 16_000.0;
        let off = (samples("start") - start).abs().max((samples("end") - end).abs());
        assert!(off <= 512.0, "{ours}, and the reference says {start} to {end}");
    }
    service.delete().unwrap();
}

/// The digest of a model that was made on this machine, in the place of the one that an example pins. Should they differ,
/// the example is followed as its first lines say.
fn pinned(text: &str, pin: &str, file: &str) -> String {
    let pinned = subject(text).pointer(pin).and_then(Value::as_str).unwrap().to_owned();
    let made = model::digest(&models().join(file)).unwrap();
    if made != pinned {
        println!("{file} made on this machine is {made}: put in place of the example's digest, as its first lines say");
    }
    text.replace(&pinned, &made)
}

fn varies(file: &str, text: &str, variant: &str) {
    let pin = "/spec/model/variants/0/sha256";
    let text = pinned(text, pin, "magika/int8.onnx");
    let service = served(&text);
    knows(file, &service);
    let digest = subject(&text).pointer(pin).unwrap().clone();
    let status = service.get().unwrap()["status"].take();
    assert_eq!((&status["model"]["variant"], &status["model"]["sha256"]), (&json!(variant), &digest), "{status}");
    for pod in service.pods().unwrap() {
        assert_eq!(pod["metadata"]["labels"]["millrace.dev/variant"], variant);
        let name = pod["metadata"]["name"].as_str().unwrap();
        let log = service.product.bed.kubectl(&["-n", "team-a", "logs", name]).unwrap();
        let fetched: Vec<&str> = log.lines().filter(|line| line.contains("of the model is fetched")).collect();
        assert!(
            fetched.len() == 1 && fetched[0].contains(digest.as_str().unwrap()),
            "the variant alone is fetched: {fetched:?}"
        );
    }
    service.delete().unwrap();
}

fn reads(text: &str) {
    let service = served(text);
    let folder = tempfile::tempdir().unwrap();
    let images = model::ocr_answers(&product().bed, &models().join("ocr"), folder.path()).unwrap();
    for image in &images {
        let file = image["file"].as_str().unwrap();
        let answer = service.process(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(answer.status, 200, "{file}: {} {}", answer.error(), answer.problem);
        // A space between words may be seen or not where a line is cut out by a pixel higher or lower.
        let letters = |line: &Value| line["text"].as_str().unwrap().replace(' ', "");
        let lines = |list: &Value| -> Vec<String> { list.as_array().unwrap().iter().map(letters).collect() };
        assert_eq!(lines(&answer.json()), lines(&image["alone"]), "{file}");
    }
    assert!(images.len() >= 8);
    service.delete().unwrap();
}

fn answers(file: &str, text: &str) {
    let service = served(text);
    knows(file, &service);
    if service.name != "magika" {
        service.delete().unwrap();
    }
}

/// The answer to `known()` is the reference's.
fn knows(file: &str, service: &Service) {
    let answer = asked(service);
    assert_eq!(answer.status, 200, "{file}: {} {}", answer.error(), answer.problem);
    let scores: Vec<f64> =
        answer.json()["outputs"][0]["data"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
    assert_eq!(labels()[best], "python", "{file}");
}

/// The answer of a service of Magika's model to `known()`.
pub fn asked(service: &Service) -> Answer {
    let row: Vec<u32> = known();
    let body = json!({"inputs": [{"name": "bytes", "shape": [1, 2048], "datatype": "INT32", "data": row}]}).to_string();
    service.call(&format!("/v2/models/{}/infer", service.name)).body(body).send().unwrap()
}

/// A short Python program as the model's input: 1,024 tokens of the head, 1,024 of the tail, 256 where nothing is.
fn known() -> Vec<u32> {
    let text = b"import os\n\ndef main():\n    print(os.getcwd())\n\nif __name__ == '__main__':\n    main()";
    let bytes = text.iter().map(|&byte| u32::from(byte));
    let padding = std::iter::repeat_n(256, 1024 - text.len());
    bytes.clone().chain(padding.clone()).chain(padding).chain(bytes).collect()
}

/// The labels of Magika, from its own manifest.
fn labels() -> Vec<String> {
    let manifest = millrace_tests::edited("magika.yaml", &[]).unwrap();
    let steps = manifest["spec"]["pipeline"]["postprocess"].as_array().unwrap();
    let values = steps.iter().find_map(|step| step["argmax"]["labels"]["values"].as_array()).unwrap();
    values.iter().filter_map(|label| label.as_str().map(str::to_owned)).collect()
}

fn refused(file: &str, text: &str, condition: &str, reason: &str) {
    let object = subject(text);
    let bed = &product().bed;
    bed.apply(text).unwrap();
    let (kind, name) = (object["kind"].as_str().unwrap().to_lowercase(), object["metadata"]["name"].as_str().unwrap());
    let resource = format!("{kind}/{name}");
    let condition = format!("--for=jsonpath={{.status.conditions[?(@.type==\"{condition}\")].reason}}={reason}");
    let waited = bed.kubectl(&["-n", "team-a", "wait", &resource, &condition, "--timeout=90s"]);
    assert!(
        waited.is_ok(),
        "{file}: {waited:?}\n{}",
        bed.kubectl(&["-n", "team-a", "get", &resource, "-o", "yaml"]).unwrap_or_default()
    );
    bed.kubectl(&["-n", "team-a", "delete", &resource]).unwrap();
}
