//! Against the definition, in words of its own: a box stays if no better box that stays overlaps it too much.

use super::*;
use crate::protocol::{data::Datatype, tensor::TensorSpec};
use proptest::prelude::*;

fn step(spec: &str, shapes: &[&[i64]]) -> Result<NonMaxStep, String> {
    let name = |at: usize| ["boxes", "scores"][at].to_owned();
    let outputs: Vec<TensorSpec> = shapes
        .iter()
        .enumerate()
        .map(|(at, shape)| TensorSpec { name: name(at), datatype: Datatype::Fp32, shape: shape.to_vec() })
        .collect();
    let signature = Signature { inputs: Vec::new(), outputs };
    let scores = (shapes.len() > 1).then_some(1);
    NonMaxStep::compile(
        &serde_json::from_str(spec).unwrap(),
        0,
        scores,
        &Target {
            signature: &signature,
            max_rows: 1,
            few_lengths: false,
            files: &crate::model::files::Files::default(),
            metadata: &std::collections::BTreeMap::new(),
        },
    )
}

fn found(spec: &str, shapes: &[&[i64]], boxes: &[f32], scores: Option<&[f32]>) -> Vec<(String, f32, [f32; 4])> {
    let detections = step(spec, shapes).unwrap().detections(boxes, scores, None).unwrap();
    detections.into_iter().map(|found| (found.label, found.score, found.corners)).collect()
}

#[test]
fn formats_of_known_detectors() {
    let labels = r#""labels": {"values": ["cat", "dog"]}"#;
    let cat = ("cat".to_owned(), 0.9, [0.0, 0.0, 10.0, 10.0]);
    let dog = ("dog".to_owned(), 0.8, [1.0, 0.0, 11.0, 10.0]);
    // YOLOv8: a row for each number. The third box is the first one again, less sure.
    let transposed = [5.0, 6.0, 5.0, 5.0, 5.0, 5.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 0.9, 0.1, 0.7, 0.0, 0.8, 0.1];
    let spec = format!(r#"{{"iou": 0.5, "score": 0.25, "maxBoxes": 10, "transposed": true, {labels}}}"#);
    assert_eq!(found(&spec, &[&[1, 6, -1]], &transposed, None), [cat.clone(), dog.clone()]);
    let agnostic = spec.replace("0.25", "0.25, \"classAgnostic\": true");
    assert_eq!(found(&agnostic, &[&[1, 6, -1]], &transposed, None), std::slice::from_ref(&cat));
    // YOLOv5: a row for each box, and whether there is anything at all before the scores.
    let rows = [5.0, 5.0, 10.0, 10.0, 0.5, 1.0, 0.2, 6.0, 5.0, 10.0, 10.0, 0.4, 0.1, 1.0];
    let spec = format!(r#"{{"iou": 0.5, "score": 0.25, "maxBoxes": 10, "objectness": true, {labels}}}"#);
    let halves = [("cat".to_owned(), 0.5, cat.2), ("dog".to_owned(), 0.4, dog.2)];
    assert_eq!(found(&spec, &[&[1, -1, 7]], &rows, None), halves);
    // SSD: corners, and scores in an output of their own.
    let spec =
        format!(r#"{{"iou": 0.5, "score": 0.25, "maxBoxes": 1, "format": "Corners", "scores": "scores", {labels}}}"#);
    let corners = [1.0, 0.0, 11.0, 10.0, 0.0, 0.0, 10.0, 10.0];
    assert_eq!(found(&spec, &[&[1, -1, 4], &[1, -1, 2]], &corners, Some(&[0.1, 0.8, 0.9, 0.3])), [cat]);
}

#[test]
fn outputs_that_do_not_fit_name_both_sides() {
    let spec = r#"{"iou": 0.5, "score": 0.25, "maxBoxes": 10, "labels": {"values": ["a", "b"]}}"#;
    for (shapes, say) in [
        (&[&[1i64, -1, 4][..]][..], "4 numbers and its scores for each box; the model gives boxes FP32[1, -1, 4]"),
        (&[&[1, 10, -1]], "4 numbers and its scores"),
        (&[&[1, -1, 7]], "2 labels; the model's output has 3 scores"),
        (&[&[1, 2, 3, 7]], "a row of numbers for each box"),
        (&[&[1, -1, 5], &[1, -1, 2]], "takes 4 numbers for each box"),
    ] {
        let message = step(spec, shapes).err().unwrap();
        assert!(message.contains(say), "{message}");
    }
    let step = step(spec, &[&[1, -1, 6]]).unwrap();
    assert!(step.detections(&[0.0; 7], None, None).is_none(), "no whole box");
    assert_eq!(step.detections(&[], None, None), Some(Vec::new()));
    assert_eq!(step.detections(&[f32::NAN; 6], None, None), Some(Vec::new()));
}

proptest! {
    #[test]
    fn as_the_definition_says(
        boxes in proptest::collection::vec((0u8..40, 0u8..40, 1u8..30, 1u8..30, 0u8..100, 0usize..3), 0..40),
        agnostic in any::<bool>(),
        most in 1usize..20,
    ) {
        let spec = format!(r#"{{"iou": 0.4, "score": 0.3, "maxBoxes": {most}, "format": "Corners", "classAgnostic": {agnostic}}}"#);
        let mut rows = Vec::new();
        let mut all = Vec::new();
        for (at, &(left, top, width, height, percent, class)) in boxes.iter().enumerate() {
            // No two scores alike, so that the order is one.
            let score = f32::from(percent) / 100.0 + f32::from(u8::try_from(at).unwrap()) / 10_000.0;
            let corners = [left, top, left + width, top + height].map(f32::from);
            let mut scores = [0.0; 3];
            scores[class] = score;
            rows.extend(corners.iter().chain(&scores).copied());
            all.push((class, score, corners));
        }
        let detections = step(&spec, &[&[1, -1, 7]]).unwrap().detections(&rows, None, None).unwrap();
        let iou = |a: &[f32; 4], b: &[f32; 4]| {
            let side = |low: usize| f64::from((a[low + 2].min(b[low + 2]) - a[low].max(b[low])).max(0.0));
            let common = side(0) * side(1);
            let area = |c: &[f32; 4]| f64::from((c[2] - c[0]) * (c[3] - c[1]));
            common / (area(a) + area(b) - common)
        };
        all.retain(|(_, score, _)| *score >= 0.3);
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut kept: Vec<(usize, f32, [f32; 4])> = Vec::new();
        for one in all {
            if kept.iter().all(|other| iou(&one.2, &other.2) <= 0.4 || (!agnostic && one.0 != other.0)) {
                kept.push(one);
            }
        }
        kept.truncate(most);
        let made: Vec<_> = detections.into_iter().map(|d| (d.label.parse::<usize>().unwrap(), d.score, d.corners)).collect();
        prop_assert_eq!(made, kept);
    }
}
