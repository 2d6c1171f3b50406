//! Three models in one service, held to RapidOCR in Python: the example as it stands, on images with text of many kinds.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

mod support;

use serde_json::Value;
use std::path::Path;
use support::{
    Serving,
    real::{Real, example},
};

/// Corners may differ by so many pixels: rectangles and resized pixels are rounded from 64 bits, not from 32.
const PIXELS: f64 = 2.0;
/// Scores may differ by so much, where a line is cut out by a pixel higher or lower.
const SCORE: f64 = 0.06;
/// Of a hundred lines, in so many a space between words may be there or not for the same reason; letters may not differ.
const SPACES: usize = 5;

async fn serve(real: &Real) -> Serving {
    // A debug build on a busy machine takes its time.
    let manifest = format!("{}  access: {{timeout: 10m}}\n", example("ocr-graph.yaml"));
    real.serve(&manifest, &real.models.join("ocr")).await.unwrap()
}

fn reference(real: &Real, folder: &Path) -> Vec<Value> {
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    match real.python("ocr_reference.py", &[&path(&real.models.join("ocr")), &path(folder)], "") {
        Value::Array(images) => images,
        other => panic!("{other}"),
    }
}

async fn read(serving: &Serving, file: &str) -> Vec<Value> {
    let (status, text) = serving.post_as("/process", "application/octet-stream", std::fs::read(file).unwrap()).await;
    assert_eq!(status, 200, "{file}: {text}");
    serde_json::from_str(&text).unwrap()
}

fn texts(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["text"].as_str().unwrap()).collect()
}

/// Texts that are the same but for spaces, as they must be; how many are just the same.
fn compare(ours: &[Value], theirs: &[Value], file: &str) -> usize {
    let letters = |lines: &[Value]| -> Vec<String> { texts(lines).iter().map(|text| text.replace(' ', "")).collect() };
    assert_eq!(letters(ours), letters(theirs), "{file}");
    texts(ours).iter().zip(texts(theirs)).filter(|(ours, theirs)| **ours == *theirs).count()
}

/// The largest difference of a corner and of a score.
fn difference(ours: &[Value], theirs: &[Value]) -> (f64, f64) {
    let numbers = |line: &Value| -> Vec<f64> {
        line["box"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|corner| corner.as_array().unwrap())
            .map(|x| x.as_f64().unwrap())
            .collect()
    };
    ours.iter().zip(theirs).fold((0.0, 0.0), |(pixels, score), (a, b)| {
        let corner = numbers(a).iter().zip(numbers(b)).map(|(x, y)| (x - y).abs()).fold(pixels, f64::max);
        (corner, f64::max(score, (a["score"].as_f64().unwrap() - b["score"].as_f64().unwrap()).abs()))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_equal_the_reference() {
    let Some(real) = Real::here() else { return };
    let folder = tempfile::tempdir().unwrap();
    let serving = serve(&real).await;
    let images = reference(&real, folder.path());
    assert!(images.len() >= 12);
    let (mut lines, mut same) = (0, 0);
    let (mut pixels, mut score) = (0.0, 0.0);
    for image in &images {
        let file = image["file"].as_str().unwrap();
        let alone = image["alone"].as_array().unwrap();
        let ours = read(&serving, file).await;
        same += compare(&ours, alone, file);
        let (corner, differs) = difference(&ours, alone);
        println!(
            "{}: {} lines, corners {corner}, scores {differs:.4}",
            Path::new(file).file_name().unwrap().to_string_lossy(),
            ours.len()
        );
        (pixels, score) = (f64::max(pixels, corner), f64::max(score, differs));
        lines += ours.len();
    }
    println!("{lines} lines: corners differ by {pixels} px and scores by {score:.4} at most");
    println!("the very same text: {same}");
    assert!(lines >= 50 && images.iter().any(|image| image["alone"].as_array().unwrap().is_empty()));
    assert!(pixels <= PIXELS && score <= SCORE, "{pixels} {score}");
    assert!((lines - same) * 100 <= SPACES * lines, "{same} of {lines}");
    // By a server of its own, whose batches are counted; the reference takes too long to be asked twice.
    at_once(&serve(&real).await, &images).await;
}

/// Images at once are read as one by one, and their lines share batches.
async fn at_once(serving: &Serving, images: &[Value]) {
    let reads = images.iter().map(|image| read(serving, image["file"].as_str().unwrap()));
    let answers = futures::future::join_all(reads).await;
    for (image, ours) in images.iter().zip(&answers) {
        compare(ours, image["alone"].as_array().unwrap(), image["file"].as_str().unwrap());
    }
    let (_, metrics) = serving.get("/metrics").await;
    let count = |model: &str, what: &str| -> f64 {
        let name = format!("inference_model_batch_size_{what}{{model=\"{model}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    };
    assert_eq!(count("detect", "sum"), images.len() as f64);
    let (rows, runs) = (count("classify", "sum"), count("classify", "count"));
    println!("{rows} lines in {runs} runs of the classifier, {} of the recogniser", count("recognise", "count"));
    assert!(runs < rows, "lines share batches");
}

#[tokio::test]
async fn what_does_not_fit_the_models_is_said_at_the_start() {
    let Some(real) = Real::here() else { return };
    let good = example("ocr-graph.yaml");
    for (from, to, reason, says) in [
        (
            "metadata: character",
            "metadata: letters",
            "PipelineMismatch",
            "step text: model recognise: postprocess: labels.metadata: the model's metadata has no \"letters\"; it has character",
        ),
        (
            "space: true",
            "space: false",
            "PipelineMismatch",
            "6623 labels besides the blank; the model's output has 6625 classes",
        ),
        (
            "values: [\"0\", \"180\"]",
            "values: [\"0\", \"90\", \"180\"]",
            "PipelineMismatch",
            "3 labels; the model's output has 2 scores",
        ),
        (
            "label: \"180\"",
            "label: \"90\"",
            "PipelineMismatch",
            "step upright: rotate.label is \"90\"; step direction gives no such class",
        ),
        ("from: [image, lines]", "from: [lines, image]", "PipelineMismatch", "step crops: crop takes an image"),
        ("e47acedf", "00000000", "DigestMismatch", "model classify: "),
        (
            "color: BGR",
            "color: Gray",
            "PipelineMismatch",
            "step lines: model detect: preprocess: the image steps make floats [1, 1, -1, -1]",
        ),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        let error = real.serve(&changed, &real.models.join("ocr")).await.err().unwrap();
        assert!(error.reason == reason && error.message.contains(says), "{to}: {error}");
    }
}
