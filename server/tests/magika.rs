//! The real engine with a real model: Magika, whose answers are known.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

use millrace_crds::{ExecutionProvider, manifest::Manifest};
use millrace_server::{
    engine::{
        Engine,
        ort::{OrtEngine, OrtOptions, load_library},
    },
    gpu::Gpu,
    model::files::Files,
    pipeline::{Pipeline, Prepared, Raw, Target, Value},
};
use std::path::{Path, PathBuf};

/// Library and model, or the reason why there are none here.
fn real() -> Option<(PathBuf, PathBuf)> {
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let found = path("MILLRACE_ORT_LIBRARY").zip(path("MILLRACE_MAGIKA_MODEL"));
    if found.is_none() {
        println!(
            "not run: MILLRACE_ORT_LIBRARY and MILLRACE_MAGIKA_MODEL name no ONNX Runtime and model (cargo xtask test sets them)"
        );
    }
    found
}

fn manifest() -> Manifest {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/magika.yaml");
    Manifest::from_yaml(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn options(providers: Vec<ExecutionProvider>) -> OrtOptions {
    OrtOptions::new(providers, 1)
}

#[test]
fn known_answers() {
    let Some((library, model)) = real() else { return };
    let environment = load_library(&library).unwrap();
    // Batch sizes that are prepared mean graphs on a GPU, and nothing on the processor.
    let options = OrtOptions { graphs: 2, ..options(vec![ExecutionProvider::CPU]) };
    let mut engine = OrtEngine::load(environment, &model, &options).unwrap();
    assert_eq!(engine.graphs(), 0);
    let pipeline = Pipeline::compile(
        &manifest().spec.pipeline,
        &Target {
            signature: engine.signature(),
            max_rows: 32,
            few_lengths: false,
            files: &Files::default(),
            metadata: &std::collections::BTreeMap::new(),
        },
    )
    .unwrap();
    let python = b"import sys\n\ndef main(argv):\n    for arg in argv:\n        print(arg)\n\nif __name__ == '__main__':\n    main(sys.argv[1:])\n".repeat(4);
    let png =
        [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89"[..], &[0u8; 64]].concat();
    for (raw, label) in
        [(&python[..], "python"), (&png, "png"), (b"", "empty"), (b"abc", "txt"), (b"\xff\xfe\xfd", "unknown")]
    {
        let value = match pipeline.prepare(&Raw::from(raw.to_vec())).unwrap() {
            Prepared::Answer(value) => value,
            Prepared::Sequence(other) => panic!("{other:?}"),
            Prepared::Runs(runs) => {
                let batch = &runs.batches[0];
                let mut answers = Vec::new();
                engine.run(&batch.inputs, &mut |outputs| answers.push(outputs)).unwrap();
                pipeline.finish(&batch.rows, &answers[0]).unwrap().remove(0).1
            }
        };
        let Value::Class(class) = value else { panic!("{value:?}") };
        assert_eq!(class.label, label, "score {}", class.score);
    }
}

#[test]
fn what_cannot_be_had_is_an_error_and_never_the_cpu() {
    let Some((library, model)) = real() else { return };
    let environment = load_library(&library).unwrap();
    if Gpu::first().is_some() {
        return println!("not run: there is a GPU here, so that providers can be had (tests/gpu.rs)");
    }
    for provider in [ExecutionProvider::CUDA, ExecutionProvider::TensorRT] {
        let error =
            OrtEngine::load(environment, &model, &options(vec![provider, ExecutionProvider::CPU])).err().unwrap();
        assert_eq!(error.reason, "ProviderUnavailable", "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("m.onnx");
    std::fs::write(&broken, b"this is no model").unwrap();
    let error = OrtEngine::load(environment, &broken, &options(vec![ExecutionProvider::CPU])).err().unwrap();
    assert_eq!(error.reason, "ModelInvalid");
    assert!(!error.message.contains(&*folder.path().to_string_lossy()), "{}", error.message);
}
