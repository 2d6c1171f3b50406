//! Maps drawn as text, and what is found in them.

use super::*;
use crate::{pipeline::image::Pixels, protocol::data::Datatype};

fn step(json: &str) -> RegionsStep {
    let output = TensorSpec { name: "map".into(), datatype: Datatype::Fp32, shape: vec![-1, 1, -1, -1] };
    RegionsStep::compile(&serde_json::from_str(json).unwrap(), &output).unwrap()
}

/// Upper left and lower right corner of what is found in a map: a digit is tenths of a probability.
fn check(json: &str, map: &[&str]) -> Vec<[f32; 4]> {
    let scores: Vec<f32> =
        map.concat().chars().map(|c| c.to_digit(10).map_or(0.0, |digit| f32::from(digit as u8) / 10.0)).collect();
    let found = step(json).regions(&scores, (map[0].len(), map.len()), None).unwrap();
    found.iter().map(|region| [region.corners[0], region.corners[2]].concat().try_into().unwrap()).collect()
}

const TWO: [&str; 8] = [
    "....................",
    ".99999999...9999999.",
    ".99999999...9999999.",
    ".99999999...9999999.",
    ".99999999...9999999.",
    ".99999999...9999999.",
    "....................",
    "....................",
];

#[test]
fn regions_are_found_row_by_row() {
    let found = check(r#"{"expand": 0, "minSide": 2}"#, &TWO);
    assert_eq!(found, [[1.0, 1.0, 8.0, 5.0], [12.0, 1.0, 18.0, 5.0]]);
    // Area 28, perimeter 22: each side moves by 28 × 0.8 / 22, which is a little more than one.
    assert_eq!(check(r#"{"expand": 0.8}"#, &TWO)[0], [0.0, 0.0, 9.0, 6.0]);
}

#[test]
fn what_is_unlikely_or_small_is_dropped() {
    assert_eq!(check(r#"{"expand": 0, "minSide": 2, "threshold": 0.9}"#, &TWO).len(), 0);
    assert_eq!(check(r#"{"expand": 0, "minSide": 2, "score": 0.95}"#, &TWO).len(), 0);
    assert_eq!(check(r#"{"expand": 0, "minSide": 5}"#, &TWO).len(), 0);
    assert_eq!(check(r#"{"expand": 0, "minSide": 2, "maxRegions": 1}"#, &TWO).len(), 1);
    assert_eq!(check("{}", &["....", "...."]).len(), 0);
}

#[test]
fn what_nearly_touches_is_one_if_it_grows() {
    let near = TWO.map(|row| row.replace("...9", ".999"));
    let near: Vec<&str> = near.iter().map(String::as_str).collect();
    assert_eq!(check(r#"{"expand": 0, "minSide": 2}"#, &near).len(), 2);
    assert_eq!(check(r#"{"expand": 0, "minSide": 2, "dilate": true}"#, &near), [[1.0, 1.0, 19.0, 6.0]]);
}

#[test]
fn a_row_may_be_a_little_crooked() {
    let region = |x: f32, y: f32| Region { score: 1.0, corners: [[x, y]; 4] };
    let mut regions = vec![region(50.0, 3.0), region(90.0, 0.0), region(10.0, 8.0), region(0.0, 30.0)];
    step("{}").sort(&mut regions);
    let order: Vec<f32> = regions.iter().map(|region| region.corners[0][0]).collect();
    assert_eq!(order, [10.0, 50.0, 90.0, 0.0]);
}

#[test]
fn corners_are_those_of_the_image_that_was_sent() {
    let mut geometry = Geometry::of(&Pixels::filled(40, 16, 3, 0));
    geometry.resized((40, 16), (20, 8));
    let scores: Vec<f32> = TWO.concat().chars().map(|c| if c == '9' { 0.9 } else { 0.0 }).collect();
    let found = step(r#"{"expand": 0, "minSide": 2}"#).regions(&scores, (20, 8), Some(&geometry)).unwrap();
    assert_eq!(found[0].corners, [[2.0, 2.0], [16.0, 2.0], [16.0, 10.0], [2.0, 10.0]]);
    assert!((found[0].score - 0.9).abs() < 1e-6);
}

#[test]
fn a_map_of_another_size_is_none() {
    for (scores, size) in [(vec![0.0; 3], (2, 2)), (vec![], (usize::MAX, 2)), (vec![0.0; 4], (4, 0))] {
        assert!(step("{}").regions(&scores, size, None).is_none(), "{size:?}");
    }
    assert_eq!(step("{}").regions(&[], (0, 5), None), Some(Vec::new()));
    assert_eq!(step("{}").regions(&[f32::NAN; 25], (5, 5), None), Some(Vec::new()));
}
