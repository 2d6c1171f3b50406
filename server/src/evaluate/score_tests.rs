use super::*;
use crate::pipeline::{
    Class, Value,
    value::{Detection, Scores, Segment},
};
use serde_json::{Value as Json, json};

fn held(said: &[Said], expected: &[Json]) -> Result<Score, String> {
    let references: Vec<Said> =
        said.iter().zip(expected).map(|(said, label)| said.expected(label)).collect::<Result<_, _>>()?;
    score(&said.iter().zip(&references).collect::<Vec<_>>())
}

fn scores(fraud: f32) -> Said {
    Said::of(Value::Scores(Scores(vec![("no".to_owned(), 1.0 - fraud), ("fraud".to_owned(), fraud)]))).unwrap()
}

#[test]
fn classes_are_counted() {
    let class = |label: &str| Said::of(Value::Class(Class { label: label.to_owned(), score: 0.5 })).unwrap();
    let found =
        held(&[class("a"), class("b"), class("c"), class("7")], &[json!("a"), json!("b"), json!("x"), json!(7)]);
    assert_eq!(found, Ok(Score { metric: Metric::Top1, value: 0.75, error: None, count: 4 }));
    let best =
        Value::Classes(vec![Class { label: "a".to_owned(), score: 0.9 }, Class { label: "b".to_owned(), score: 0.1 }]);
    assert_eq!(Said::of(best), Ok(Said::Class("a".to_owned())));
    // Of scores and plain vectors the highest counts, the first of equals.
    assert_eq!(held(&[scores(0.4), scores(0.5)], &[json!("no"), json!("fraud")]).unwrap().value, 0.5);
    let vector = Said::Vector(vec![0.1, 0.7, 0.7]);
    assert_eq!(held(&[vector.clone(), vector], &[json!(1), json!(2)]).unwrap().value, 0.5);
}

#[test]
fn vectors_are_compared_by_their_direction() {
    let vectors = [Said::Vector(vec![1.0, 0.0]), Said::Vector(vec![0.0, 3.0]), Said::Vector(vec![0.0, 0.0])];
    let found = held(&vectors, &[json!([2, 0]), json!([1, 1]), json!([0, 0])]).unwrap();
    assert_eq!(found.metric, Metric::Cosine);
    assert!((found.value - (2.0 + 0.5f64.sqrt()) / 3.0).abs() < 1e-9, "{found:?}");
    assert_eq!(held(&[Said::Vector(vec![1.0])], &[json!([-1])]).unwrap().value, 0.0, "opposite is worth nothing");
    assert!(held(&[Said::Vector(vec![1.0])], &[json!([1, 2])]).is_err());
    assert!(!Said::Vector(vec![f32::NAN]).is_finite() && scores(0.5).is_finite());
}

#[test]
fn numbers_are_compared_by_their_error_over_the_range() {
    let price = |value| Said::of(Value::Number { value, unit: None }).unwrap();
    let found = held(&[price(12.0), price(30.0)], &[json!(10), json!(30)]).unwrap();
    assert_eq!((found.error, found.value), (Some(1.0), 0.95));
    let found = held(&[scores(0.25)], &[json!({"no": 0.5, "fraud": 0.5})]).unwrap();
    assert_eq!((found.error, found.value), (Some(0.25), 0.0), "no range");
    assert_eq!(held(&[scores(0.5)], &[json!({"no": 0.5, "fraud": 0.5})]).unwrap().value, 1.0);
}

#[test]
fn what_cannot_be_compared_is_said() {
    assert!(Said::of(Value::List(vec![])).unwrap_err().contains("one item for each input"));
    assert!(scores(0.5).expected(&json!({"no": 1})).unwrap_err().contains("an object with a score for each class"));
    assert!(Said::Class("a".to_owned()).expected(&json!([1])).unwrap_err().contains("the name of a class, not to [1]"));
    let mixed = [(&Said::Class("a".to_owned()), &Said::Class("a".to_owned())), (&scores(0.1), &scores(0.1))];
    assert!(score(&mixed).is_err() && score(&[]).is_err());
}

#[test]
fn what_was_found_is_compared_by_its_place() {
    let found = |left: f32| Detection { label: "cat".to_owned(), score: 0.9, corners: [left, 0.0, left + 10.0, 10.0] };
    let boxes = Said::of(Value::Boxes(vec![found(0.0), found(40.0)])).unwrap();
    let label = json!([{"label": "cat", "box": [1, 0, 11, 10]}]);
    let found = held(&[boxes.clone(), boxes.clone()], &[label, json!([])]).unwrap();
    assert_eq!((found.metric, found.value), (Metric::F1, 2.0 / 5.0));
    assert_eq!(held(&[Said::Boxes(vec![])], &[json!([])]).unwrap().value, 1.0, "nothing is there, nothing is found");
    assert!(boxes.expected(&json!("cat")).unwrap_err().contains(r#""box": [left, top, right, bottom]"#));
    let speech = Said::of(Value::Segments(vec![Segment { start: 1.0, end: 3.0 }])).unwrap();
    let found = held(&[speech], &[json!([{"start": 0, "end": 2}])]).unwrap();
    assert_eq!((found.metric, found.value), (Metric::Overlap, 1.0 / 3.0));
}
