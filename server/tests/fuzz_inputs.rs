//! Seeds of the fuzz targets, and what fuzzing has found: each goes through the target's own checks.
#![allow(clippy::unwrap_used)] // the targets' set-up is a test's

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::path::{Path, PathBuf};

/// Inputs of a target in a folder of its kind; of those that were found there may be none.
fn inputs(kind: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(kind).join(target);
    std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

fn replay(target: &str, take: fn(&[u8]) -> bool) {
    let (seeds, found) = (inputs("seeds", target), inputs("regressions", target));
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for path in &seeds {
        assert!(take(&std::fs::read(path).unwrap()), "{} is refused: it is no seed", path.display());
    }
    for path in &found {
        // Whether it is taken or refused: the target's own checks hold.
        take(&std::fs::read(path).unwrap());
    }
    println!("{target}: {} seeds, {} that were found", seeds.len(), found.len());
}

#[test]
fn json() {
    replay("json", targets::json);
}

#[test]
fn binary() {
    replay("binary", targets::binary);
}

#[test]
fn grpc() {
    replay("grpc", targets::grpc);
}

#[test]
fn image() {
    replay("image", targets::image);
}

#[test]
fn audio() {
    replay("audio", targets::audio);
}

#[test]
fn text() {
    replay("text", targets::text);
}

#[test]
fn onnx() {
    replay("onnx", targets::onnx);
}
