//! Steps by tables, and pipelines that don't fit their model.

use super::*;
use crate::protocol::{
    data::{Data, Datatype},
    tensor::TensorSpec,
};

fn signature(inputs: &[i64], classes: i64) -> Signature {
    Signature {
        inputs: vec![TensorSpec { name: "bytes".into(), datatype: Datatype::Int32, shape: inputs.to_vec() }],
        outputs: vec![TensorSpec { name: "scores".into(), datatype: Datatype::Fp32, shape: vec![-1, classes] }],
    }
}

const SPEC: &str = r#"{
  "preprocess": [{"bytes": {"head": 4, "tail": 4, "block": 8, "padding": 256, "strip": true,
    "shortInput": {"minBytes": 3, "empty": "empty", "text": "txt", "binary": "unknown"}}}],
  "postprocess": [{"argmax": {"labels": {"values": ["a", "b", "noise"]}}},
    {"threshold": {"default": 0.5, "classes": {"b": 0.9}, "rename": {"noise": "rest"},
      "fallback": {"label": "unknown", "groups": [{"label": "txt", "classes": ["b", "rest"]}]}}}]}"#;

fn compile(json: &str, signature: &Signature) -> Result<Pipeline, StartError> {
    Pipeline::compile(
        &serde_json::from_str(json).unwrap(),
        &Target {
            signature,
            max_rows: 8,
            few_lengths: false,
            files: &Files::default(),
            metadata: &std::collections::BTreeMap::new(),
        },
    )
}

fn pipeline() -> Pipeline {
    compile(SPEC, &signature(&[-1, 8], 3)).unwrap()
}

/// The value of the one row of an output.
fn finish(pipeline: &Pipeline, scores: Vec<f32>) -> Value {
    let output = Tensor { name: "scores".into(), shape: vec![1, scores.len()], data: Data::Fp32(scores) };
    pipeline.finish(&[Row { at: 0, note: Note::None }], &[output]).unwrap().remove(0).1
}

fn tokens(raw: &[u8]) -> Result<Vec<i32>, String> {
    match pipeline().prepare(&Raw::from(raw.to_vec())).unwrap() {
        Prepared::Runs(runs) => match &runs.batches[0].inputs[0].data {
            Data::Int32(tokens) => Ok(tokens.clone()),
            other => panic!("{other:?}"),
        },
        Prepared::Answer(Value::Class(class)) => Err(class.label),
        other => panic!("{other:?}"),
    }
}

#[test]
fn windows_padding_and_short_inputs() {
    for (raw, expected) in [
        (&b""[..], Err("empty")),
        (b"ab", Err("txt")),
        (b"\xff\xfe", Err("unknown")),
        (b"          ab", Err("txt")), // eight of white space in the block, nothing after it
        (b"abc", Ok([97, 98, 99, 256, 256, 97, 98, 99])),
        (b" \x0babcde\n", Ok([97, 98, 99, 100, 98, 99, 100, 101])),
        (b"abcdefghijkl", Ok([97, 98, 99, 100, 105, 106, 107, 108])),
    ] {
        assert_eq!(tokens(raw), expected.map(|e| e.to_vec()).map_err(str::to_owned), "{raw:?}");
    }
}

#[test]
fn thresholds_renames_and_fallbacks() {
    for (scores, label) in [
        ([0.6, 0.3, 0.1], "a"),
        ([0.5, 0.3, 0.2], "a"),
        ([0.4, 0.3, 0.3], "unknown"),
        ([0.1, 0.8, 0.1], "txt"),
        ([0.05, 0.92, 0.03], "b"),
        ([0.1, 0.1, 0.8], "rest"),
        ([0.3, 0.3, 0.4], "txt"),
    ] {
        let Value::Class(class) = finish(&pipeline(), scores.to_vec()) else { panic!() };
        assert_eq!(class.label, label, "{scores:?}");
    }
}

#[test]
fn pipelines_that_do_not_fit_name_both_sides() {
    for (signature, say) in
        [(signature(&[-1, 9], 3), ["[1, 8]", "bytes INT32[-1, 9]"]), (signature(&[-1, 8], 4), ["3 labels", "4 scores"])]
    {
        let error = compile(SPEC, &signature).err().unwrap();
        assert_eq!(error.reason, reason::PIPELINE_MISMATCH);
        assert!(say.iter().all(|say| error.message.contains(say)), "{}", error.message);
    }
    for (json, say) in [
        (r#"{"postprocess": [{"threshold": {"default": 0.5, "fallback": {"label": "x"}}}]}"#, "classes"),
        (r#"{"postprocess": [{"softmax": {"output": "nope"}}]}"#, "nope"),
        (r#"{"preprocess": [{"decodeImage": {}}]}"#, "the model takes bytes INT32[-1, 8]"),
        (r#"{"preprocess": [{"resize": {"width": 2, "height": 2}}]}"#, "decodeImage comes before it"),
        (r#"{"postprocess": [{"speechSegments": {}}]}"#, "takes a series of frames"),
        (r#"{"postprocess": [{"meanPool": {}}]}"#, "scores FP32[-1, 3]"),
        (r#"{"postprocess": [{"labelMap": {"labels": {"file": "labels.txt"}}}]}"#, "labels.txt isn't there"),
    ] {
        let error = compile(json, &signature(&[-1, 8], 3)).err().unwrap();
        assert!(error.message.contains(say), "{}", error.message);
    }
}

#[test]
fn softmax_sums_to_one_and_top_k_is_sorted() {
    let json = r#"{"postprocess": [{"softmax": {}}, {"topK": {"k": 2, "labels": {"values": ["a", "b", "c"]}}}]}"#;
    let pipeline = compile(json, &signature(&[-1, 8], 3)).unwrap();
    let Value::Classes(classes) = finish(&pipeline, vec![1000.0, 1001.0, 999.0]) else { panic!() };
    assert_eq!(classes.iter().map(|class| class.label.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    assert!((classes[0].score - 0.665_24).abs() < 1e-4 && (classes[1].score - 0.244_73).abs() < 1e-4, "{classes:?}");
}

#[test]
fn rows_of_a_batch_go_back_to_their_places() {
    let pipeline = compile(r#"{"postprocess": [{"softmax": {}}]}"#, &signature(&[-1, 8], 2)).unwrap();
    let rows: Vec<Row> = [2, 0, 1].map(|at| Row { at, note: Note::None }).to_vec();
    let data = Data::Fp32(vec![9.0, 0.0, 0.0, 9.0, 1.0, 1.0]);
    let output = Tensor { name: "scores".into(), shape: vec![3, 2], data };
    let values = pipeline.finish(&rows, std::slice::from_ref(&output)).unwrap();
    let Value::List(values) = Runs::gather(false, values) else { panic!() };
    let best: Vec<bool> = values
        .iter()
        .map(|value| match value {
            Value::Vector(v) => v[0] > v[1],
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(best, [false, false, true]);
    assert!(pipeline.finish(&rows[..2], &[output]).is_err(), "three rows for two");
}

#[test]
fn scores_and_classes_get_their_names() {
    let both = Signature {
        outputs: vec![
            TensorSpec { name: "label".into(), datatype: Datatype::Int64, shape: vec![-1] },
            TensorSpec { name: "probabilities".into(), datatype: Datatype::Fp32, shape: vec![-1, 2] },
        ],
        ..signature(&[-1, 8], 2)
    };
    let rows: Vec<Row> = [0, 1].map(|at| Row { at, note: Note::None }).to_vec();
    let outputs = [
        Tensor { name: "label".into(), shape: vec![2], data: Data::Int64(vec![1, 0]) },
        Tensor { name: "probabilities".into(), shape: vec![2, 2], data: Data::Fp32(vec![0.25, 0.75, 1.0, 0.0]) },
    ];
    for (output, expected) in [
        ("label", r#"[{"label":"spam"},{"label":"ham"}]"#),
        ("probabilities", r#"[{"ham":0.25,"spam":0.75},{"ham":1.0,"spam":0.0}]"#),
    ] {
        let json = format!(
            r#"{{"postprocess": [{{"labelMap": {{"output": "{output}", "labels": {{"values": ["ham", "spam"]}}}}}}]}}"#
        );
        let values = compile(&json, &both).unwrap().finish(&rows, &outputs).unwrap();
        assert_eq!(serde_json::to_string(&Runs::gather(false, values)).unwrap(), expected);
    }
    for (json, say) in [
        (r#"{"postprocess": [{"labelMap": {"labels": {"values": ["a", "b"]}}}]}"#, "names no output"),
        (r#"{"postprocess": [{"labelMap": {"output": "probabilities", "labels": {"values": ["a"]}}}]}"#, "1 labels"),
        (r#"{"postprocess": [{"softmax": {"output": "label"}}]}"#, "takes numbers"),
    ] {
        let error = compile(json, &both).err().unwrap();
        assert!(error.message.contains(say), "{}", error.message);
    }
    let class = [Tensor { name: "label".into(), shape: vec![1], data: Data::Int64(vec![2]) }];
    let json = r#"{"postprocess": [{"labelMap": {"output": "label", "labels": {"values": ["ham", "spam"]}}}]}"#;
    assert!(compile(json, &both).unwrap().finish(&rows[..1], &class).is_err(), "there is no class 2");
}

#[test]
fn vectors_of_tokens_are_no_vector() {
    let mut tokens = signature(&[-1, 8], 4);
    tokens.outputs[0].shape = vec![-1, -1, 4];
    let error = compile(r#"{"postprocess": [{"l2Normalize": {}}]}"#, &tokens).err().unwrap();
    assert!(error.message.contains("begin with meanPool"), "{}", error.message);
    let error = compile(r#"{"postprocess": [{"meanPool": {}}]}"#, &tokens).err().unwrap();
    assert!(error.message.contains("needs the tokens of tokenize"), "{}", error.message);
}
