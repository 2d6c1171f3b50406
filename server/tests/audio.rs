//! Audio: probabilities and stretches of speech by a real model, held to its own package, and limits over the wire.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

mod support;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use support::{
    Serving,
    real::{Real, example},
};

/// Samples in a frame, of 16,000 in a second.
const FRAME: f64 = 512.0;

async fn served(real: &Real, manifest: &str) -> Serving {
    let manifest = format!("{manifest}  access: {{timeout: 5m}}\n");
    real.serve(&manifest, &real.models.join("vad/silero_vad.onnx")).await.unwrap()
}

/// The example without its output step: a probability for each frame.
fn scoring() -> String {
    let manifest = example("voice-activity.yaml");
    let step = manifest.lines().find(|line| line.contains("speechSegments")).unwrap();
    manifest.replace(step, "").replace("    postprocess:\n", "")
}

/// What silero-vad says of each file.
fn reference(real: &Real, files: &[PathBuf], rate: u32, options: &Value) -> Vec<Value> {
    let (packages, model) = (real.models.join("python"), real.models.join("vad/silero_vad.onnx"));
    let rate = rate.to_string();
    let arguments = [packages.to_str().unwrap(), model.to_str().unwrap(), &rate];
    let asked = json!({"files": files, "options": options}).to_string();
    let Value::Array(answers) = real.python("speech_reference.py", &arguments, &asked) else { panic!("no list") };
    answers
}

async fn answer(serving: &Serving, file: &Path) -> Value {
    let (status, body) = serving.post_as("/process", "audio/any", std::fs::read(file).unwrap()).await;
    assert_eq!(status, 200, "{}: {body}", file.display());
    serde_json::from_str(&body).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Probabilities at one of the model's two rates: the largest difference.
async fn probabilities(real: &Real, manifest: &str, rate: u32) {
    let serving = served(real, manifest).await;
    let (_folder, files) = real.recordings();
    let mut largest: f64 = 0.0;
    for (file, theirs) in files.iter().zip(reference(real, &files, rate, &json!({}))) {
        let answer = answer(&serving, file).await;
        assert_eq!(answer["frameSeconds"], 0.032);
        let (ours, theirs) = (numbers(&answer["scores"]), numbers(&theirs["scores"]));
        assert_eq!(ours.len(), theirs.len(), "{}", file.display());
        let off = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-3, "{}: {off}", file.display());
        largest = largest.max(off);
    }
    println!("{} files at {rate}: largest difference of a probability {largest:.1e}", files.len());
}

#[tokio::test]
async fn probabilities_equal_silero_vads() {
    let Some(real) = Real::here() else { return };
    probabilities(&real, &scoring(), 16_000).await;
    let slower = [("16000", "8000"), ("frame: 512", "frame: 256"), ("context: 64", "context: 32")];
    let manifest = slower.iter().fold(scoring(), |text, (from, to)| text.replace(from, to));
    probabilities(&real, &manifest, 8_000).await;
}

#[tokio::test]
async fn stretches_equal_get_speech_timestamps() {
    let Some(real) = Real::here() else { return };
    let (_folder, files) = real.recordings();
    for (fields, options) in [
        ("threshold: 0.5, minSpeech: 250ms, minSilence: 100ms, padding: 30ms", json!({})),
        (
            "threshold: 0.3, endThreshold: 0.1, minSpeech: 500ms, minSilence: 300ms, padding: 200ms",
            json!({"threshold": 0.3, "neg_threshold": 0.1, "min_speech_duration_ms": 500, "min_silence_duration_ms": 300,
                "speech_pad_ms": 200}),
        ),
        (
            "threshold: 0.7, minSpeech: 0s, minSilence: 0s, padding: 0s",
            json!({"threshold": 0.7, "min_speech_duration_ms": 0, "min_silence_duration_ms": 0, "speech_pad_ms": 0}),
        ),
    ] {
        let usual = "threshold: 0.5, minSpeech: 250ms, minSilence: 100ms, padding: 30ms";
        let serving = served(&real, &example("voice-activity.yaml").replace(usual, fields)).await;
        let (mut stretches, mut largest): (usize, f64) = (0, 0.0);
        for (file, theirs) in files.iter().zip(reference(&real, &files, 16_000, &options)) {
            let ours = answer(&serving, file).await;
            let (ours, theirs) = (ours.as_array().unwrap(), theirs["stretches"].as_array().unwrap());
            assert_eq!(ours.len(), theirs.len(), "{}: {ours:?} {theirs:?}", file.display());
            for (ours, theirs) in ours.iter().zip(theirs) {
                let samples = [&ours["start"], &ours["end"]].map(|seconds| seconds.as_f64().unwrap() * 16_000.0);
                let off = samples.iter().zip(numbers(theirs)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(off <= FRAME, "{}: {ours} {theirs}", file.display());
                largest = largest.max(off);
            }
            stretches += ours.len();
        }
        assert!(stretches > 10, "{fields}: {stretches} stretches tell little");
        println!("{fields}: {stretches} stretches in {} files, largest difference {largest:.2} samples", files.len());
    }
}

#[tokio::test]
async fn limits_name_their_field() {
    let Some(real) = Real::here() else { return };
    let manifest = example("voice-activity.yaml").replace("maxSeconds: 300", "maxSeconds: 10");
    let manifest = format!("{manifest}  access: {{maxRequestBytes: 900000}}\n");
    let serving = real.serve(&manifest, &real.models.join("vad/silero_vad.onnx")).await.unwrap();
    let (folder, _) = real.recordings();
    let own = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    for (body, status, says) in [
        (own("tone.flac"), 200, "[]"),
        (
            own("telephone.wav"),
            422,
            "240000 samples or more, at 8000 a second; audio.maxSeconds of this service takes 10",
        ),
        (own("speech.flac"), 422, "audio.maxSeconds of this service takes 10 seconds"),
        (own("studio.wav"), 413, "the 900000 bytes of access.maxRequestBytes"),
        (own("short.wav")[..700].to_vec(), 400, "the WAV audio can't be read: it is cut off"),
        (own("tone.flac")[..3_000].to_vec(), 400, "the FLAC audio can't be read"),
        (b"speech".to_vec(), 400, "no WAV or FLAC"),
    ] {
        let length = body.len();
        let (got, text) = serving.post_as("/process", "audio/wav", body).await;
        assert_eq!(got, status, "{length} bytes: {text}");
        assert!(text.contains(says), "{length} bytes: {text}");
    }
}
