//! Graphs that fit their models, and sentences for those that don't.

use super::*;
use crate::{
    model::files::Files,
    protocol::{
        data::Datatype,
        tensor::{Signature, TensorSpec},
    },
};
use std::collections::BTreeMap;

/// A graph that finds regions, gives each a class, and turns those of one class.
const READS: &str = r#"[
  {"name": "image", "decodeImage": {"color": "Gray"}},
  {"name": "found", "from": ["image"], "infer": {"model": "detect", "preprocess": [{"normalize": {}}], "postprocess": [{"regions": {}}]}},
  {"name": "cut", "from": ["image", "found"], "crop": {}},
  {"name": "class", "from": ["cut"], "infer": {"model": "classify",
    "preprocess": [{"resize": {"width": 2, "height": 1}}, {"normalize": {}}], "postprocess": [{"argmax": {"labels": {"values": ["a", "b"]}}}]}},
  {"name": "turned", "from": ["cut", "class"], "rotate": {"label": "b"}},
  {"name": "again", "from": ["turned"], "infer": {"model": "classify",
    "preprocess": [{"resize": {"width": 2, "height": 1}}, {"normalize": {}}], "postprocess": [{"argmax": {"labels": {"values": ["a", "b"]}}}]}},
  {"name": "answer", "from": ["again", "found"], "combine": {"fields": [
    {"name": "label", "step": "again", "field": "label"}, {"name": "score", "step": "again", "field": "score"},
    {"name": "box", "step": "found", "field": "box"}], "keep": {"field": "score", "atLeast": 0.5}}}
]"#;

fn signature(shape: &[i64]) -> Signature {
    let spec = |name: &str| TensorSpec { name: name.into(), datatype: Datatype::Fp32, shape: shape.to_vec() };
    Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] }
}

fn compile(steps: &str) -> Result<Graph, String> {
    let (detect, classify) = (signature(&[-1, 1, -1, -1]), signature(&[-1, 1, 1, 2]));
    let (files, metadata) = (Files::default(), BTreeMap::new());
    let target = |signature| Target { signature, max_rows: 4, few_lengths: false, files: &files, metadata: &metadata };
    let steps: Vec<GraphStep> = serde_json::from_str(steps).unwrap();
    Graph::compile(&steps, &[("detect", target(&detect)), ("classify", target(&classify))])
        .map_err(|error| format!("{}: {}", error.reason, error.message))
}

#[test]
fn a_graph_that_fits() {
    let graph = compile(READS).unwrap_or_else(|error| panic!("{error}"));
    let signature = graph.signature();
    assert_eq!(Signature::describe(&signature.inputs), "request BYTES[1]");
    assert_eq!(Signature::describe(&signature.outputs), "answer BYTES[1]");
    assert!(!graph.reads_json(false));
    assert_eq!(graph.most_bytes(), 3 * 3 * 40_000_000, "the image, its regions, and those that are turned");
}

#[test]
fn the_order_of_the_manifest_is_of_no_matter() {
    let mut steps: Vec<serde_json::Value> = serde_json::from_str(READS).unwrap();
    steps.reverse();
    let graph = compile(&serde_json::to_string(&steps).unwrap()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(graph.steps.last().map(|step| step.name.as_str()), Some("answer"));
}

#[test]
fn what_does_not_fit_names_both_sides() {
    for (from, to, says) in [
        (
            r#"["image", "found"], "crop""#,
            r#"["found", "image"], "crop""#,
            "step cut: crop takes an image, and the regions that were found in it; step found gives regions, step image gives an image",
        ),
        (
            r#"["cut", "class"], "rotate""#,
            r#"["class", "cut"], "rotate""#,
            "step turned: rotate takes images, and a class with its score (argmax) for each; step class gives classes for each region, step cut gives an image for each region",
        ),
        (
            r#"["cut", "class"], "rotate""#,
            r#"["image", "class"], "rotate""#,
            "step image gives an image, step class gives classes for each region",
        ),
        (r#""label": "b"}"#, r#""label": "c"}"#, "rotate.label is \"c\"; step class gives no such class"),
        (
            r#"["cut"], "infer""#,
            r#"["found"], "infer""#,
            "infer takes the request, or an image; step found gives regions",
        ),
        (
            r#"{"width": 2, "height": 1}"#,
            r#"{"width": 3, "height": 1}"#,
            "step class: model classify: preprocess: the image steps make floats [1, 1, 1, 3]",
        ),
        (
            r#"{"regions": {}}"#,
            r#"{"ctcDecode": {"labels": {"values": ["x"]}}}"#,
            "model detect: postprocess: ctcDecode takes [batch, steps, classes]; the model gives y FP32[-1, 1, -1, -1]",
        ),
        (
            r#""field": "box"}"#,
            r#""field": "text"}"#,
            "combine.fields: box takes text; step found has the fields score, box",
        ),
        (
            r#"{"name": "box", "step": "found""#,
            r#"{"name": "box", "step": "class""#,
            "box is of step class, which isn't among from",
        ),
        (
            r#"["again", "found"], "combine""#,
            r#"["again", "found", "turned"], "combine""#,
            "step answer: combine takes values; step again gives classes for each region",
        ),
        (
            r#"{"field": "score", "atLeast"#,
            r#"{"field": "label", "atLeast"#,
            "combine.keep: label is no field that is a score",
        ),
        (r#""model": "detect""#, r#""model": "other""#, "step found: there is no model other"),
        (
            r#""model": "detect", "preprocess": [{"normalize": {}}], "postprocess": [{"regions": {}}]"#,
            r#""model": "detect""#,
            "step cut: crop takes",
        ),
        (r#""name": "image", "#, r#""name": "image", "from": ["answer"], "#, "in a circle: image, found, cut"),
        (r#"["image"], "infer""#, r#"["picture"], "infer""#, "step found takes picture, which is no step"),
        (r#"{"name": "cut", "from"#, r#"{"name": "found", "from"#, "two steps are named found"),
    ] {
        let changed = READS.replacen(from, to, 1);
        assert_ne!(changed, READS, "{from}");
        let error = compile(&changed).err().unwrap_or_default();
        assert!(error.contains(says), "{to}\n{error}");
    }
}

#[test]
fn each_model_is_used_and_each_step_leads_to_the_answer() {
    let steps = r#"[{"name": "image", "decodeImage": {"color": "Gray"}},
      {"name": "found", "from": ["image"], "infer": {"model": "detect", "preprocess": [{"normalize": {}}], "postprocess": [{"regions": {}}]}}]"#;
    assert_eq!(compile(steps).err().unwrap(), "Invalid: no step runs the model classify");
    let two = READS.replacen(r#"["again", "found"], "combine""#, r#"["again"], "combine""#, 1);
    let loose = two.replacen(r#"["image", "found"], "crop""#, r#"["image"], "crop""#, 1);
    assert!(compile(&loose).err().unwrap().contains("no step takes found, answer"));
    let image = r#"[{"name": "image", "decodeImage": {}}]"#;
    assert!(compile(image).err().unwrap().contains("step image is the answer, which is a value; it gives an image"));
    let raw = r#"[{"name": "a", "infer": {"model": "detect"}}]"#;
    assert!(compile(raw).err().unwrap().contains("begin its preprocess with a step that reads one"));
}
