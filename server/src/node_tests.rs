//! What a manifest asks of each of its models' engines, decided without one.

use super::*;
use crate::{
    model::verify,
    protocol::{data::Datatype, tensor::TensorSpec},
};
use millrace_crds::ModelFile;
use rstest::rstest;
use sha2::{Digest as _, Sha256};

const TOKENIZER: &str = r#"{"version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null, "decoder": null,
  "pre_tokenizer": {"type": "Whitespace"},
  "added_tokens": [{"id": 0, "content": "[PAD]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
  "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[PAD]": 0, "[UNK]": 1, "a": 2}}}"#;

const GRAPH: &str = r"
apiVersion: millrace.dev/v1alpha1
kind: InferenceService
metadata: {name: several}
spec:
  models:
    - {name: reads, uri: 's3://models/reads.onnx'}
    - {name: looks, uri: 's3://models/looks.onnx', maxBatchSize: 3}
  pipeline:
    steps:
      - {name: long, infer: {model: reads, preprocess: [{tokenize: {file: t.json, maxLength: 64, buckets: [16, 64]}}], postprocess: [{l2Normalize: {}}]}}
      - {name: short, infer: {model: reads, preprocess: [{tokenize: {file: t.json, maxLength: 16, buckets: [8, 16]}}], postprocess: [{argmax: {labels: {metadata: names}}}]}}
      - {name: image, decodeImage: {}}
      - {name: seen, from: [image], infer: {model: looks, preprocess: [{normalize: {}}], postprocess: [{argmax: {labels: {values: [a]}}}]}}
  batching: {maxSize: 16, buckets: [1, 4]}
  runtime: {executionProviders: [TensorRT, CUDA], instances: 2, resources: {cpu: '4'}}
";

fn signature(inputs: &[&str], datatype: Datatype, shape: &[i64]) -> Signature {
    let spec = |name: &str, datatype| TensorSpec { name: name.to_owned(), datatype, shape: shape.to_vec() };
    Signature {
        inputs: inputs.iter().map(|name| spec(name, datatype)).collect(),
        outputs: vec![spec("y", Datatype::Fp32)],
    }
}

/// Files with the tokenizer among them.
fn files() -> (tempfile::TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.json"), TOKENIZER).unwrap();
    let file = ModelFile { path: "t.json".into(), sha256: verify::hex(&Sha256::digest(TOKENIZER)).into() };
    let files = Files::new(folder.path().to_owned(), &[file]).unwrap();
    (folder, files)
}

#[rstest]
#[case::texts_of_two_steps("reads", &["input_ids", "attention_mask"], &[-1, -1], &[8, 16, 64], (16, vec![1, 4]))]
#[case::images_of_any_size("looks", &["x"], &[-1, 3, -1, -1], &[], (3, vec![1]))]
#[case::one_row_at_a_time("looks", &["x"], &[1, 3, -1, -1], &[], (1, vec![1]))]
fn each_model_of_a_graph_has_shapes_of_its_own(
    #[case] name: &str,
    #[case] inputs: &[&str],
    #[case] shape: &[i64],
    #[case] lengths: &[usize],
    #[case] (max_rows, buckets): (usize, Vec<usize>),
) {
    let manifest = Manifest::from_yaml(GRAPH).unwrap();
    let (_folder, files) = files();
    let model = manifest.spec.models.iter().find(|model| model.name.as_str() == name).unwrap();
    let asked = Asked::of(&manifest, model);
    let signature = signature(inputs, Datatype::Int64, shape);
    // Before there is an engine, nobody knows its metadata: steps that read them must not matter.
    assert_eq!(asked.lengths(&signature, &files).unwrap(), lengths);
    assert_eq!(asked.max_rows(&signature), max_rows);
    assert_eq!(asked.buckets(max_rows), buckets);
    if max_rows > 1 {
        let order = asked.order(8, None);
        assert_eq!((order.buckets.as_slice(), order.max_rows), (&*buckets, max_rows));
    }
}

#[test]
fn a_step_that_does_not_fit_is_told() {
    let manifest = Manifest::from_yaml(GRAPH).unwrap();
    let (_folder, files) = files();
    let asked = Asked::of(&manifest, &manifest.spec.models[0]);
    let error = asked.lengths(&signature(&["input_ids"], Datatype::Fp32, &[-1, -1]), &files).unwrap_err();
    assert!(error.reason == reason::PIPELINE_MISMATCH && error.message.contains("FP32"), "{error}");
}

#[test]
fn threads_are_the_containers_share_and_batches_are_padded_where_it_is_asked() {
    let manifest = Manifest::from_yaml(GRAPH).unwrap();
    let order = Asked::alone(&manifest).order(8, None);
    assert_eq!((order.instances, order.options.threads, order.options.graphs), (2, 2, 2 * GRAPHS));
    let any = Manifest::from_yaml(&GRAPH.replace(", buckets: [1, 4]", "")).unwrap();
    assert!(Asked::alone(&any).buckets(16).is_empty());
    let order = Asked::alone(&any).order(1, None);
    assert_eq!((order.options.threads, order.options.graphs, order.cache_limit), (1, 0, ENGINES));
}
