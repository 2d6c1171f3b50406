//! Tables in every form, and what is wrong with others.

use super::*;
use crate::protocol::{
    data::{Data, Datatype},
    tensor::TensorSpec,
};

fn model(inputs: &[(&str, Datatype, &[i64])]) -> Signature {
    let spec = |&(name, datatype, shape): &(&str, Datatype, &[i64])| TensorSpec {
        name: name.into(),
        datatype,
        shape: shape.to_vec(),
    };
    Signature { inputs: inputs.iter().map(spec).collect(), outputs: Vec::new() }
}

fn compile(spec: &str, signature: &Signature) -> Result<RecordsStep, String> {
    RecordsStep::compile(&serde_json::from_str(spec).unwrap(), signature)
}

const COLUMNS: &str = r#"{"maxRows": 3, "columns": [
  {"name": "amount", "mean": 10, "std": 2},
  {"name": "country", "categories": ["DE", "FR", "7"], "unknown": -1},
  {"name": "age", "missing": 50},
  {"name": "score", "missingAsNaN": true}]}"#;

fn step() -> RecordsStep {
    compile(COLUMNS, &model(&[("x", Datatype::Fp32, &[-1, 4])])).unwrap()
}

/// NaN as 999, so that rows can be compared.
fn rows(body: &str) -> (Vec<f32>, usize, bool) {
    let tabular = step().prepare(body.as_bytes()).unwrap();
    let Data::Fp32(values) = &tabular.inputs[0].data else { panic!("{:?}", tabular.inputs) };
    assert_eq!(tabular.inputs[0].shape, [tabular.rows, 4]);
    (values.iter().map(|value| if value.is_nan() { 999.0 } else { *value }).collect(), tabular.rows, tabular.single)
}

#[test]
fn records_lists_and_columns() {
    let one = vec![1.0, 1.0, 30.0, 0.5];
    let two = vec![-5.0, -1.0, 50.0, 999.0];
    let both = [one.clone(), two.clone()].concat();
    for (body, expected) in [
        (r#"{"amount": 12, "country": "FR", "age": 30, "score": 0.5}"#, (one.clone(), 1, true)),
        (r#" [{"score": 0.5, "age": 30, "country": "FR", "amount": 12.0}]"#, (one, 1, false)),
        (r#"{"amount": 0, "country": "XX", "age": null}"#, (two.clone(), 1, true)),
        (
            r#"[{"amount": 12, "country": "FR", "age": 30, "score": 0.5}, {"amount": false, "country": "?"}]"#,
            (both.clone(), 2, false),
        ),
        (r#"{"country": ["FR", "XX"], "amount": [12, 0], "score": [0.5, null], "age": [30, null]}"#, (both, 2, false)),
        (r#"{"amount": [0], "country": ["??"]}"#, (two, 1, false)),
        (r#"{"amount": 10, "country": 7, "age": -1e2, "score": -1}"#, (vec![0.0, 2.0, -100.0, -1.0], 1, true)),
    ] {
        assert_eq!(rows(body), expected, "{body}");
    }
}

#[test]
fn what_is_wrong_names_record_and_column() {
    for (body, kind, says) in [
        (
            r#"{"amount": "12", "country": "FR", "age": 30}"#,
            Kind::Unprocessable,
            "record 0: column \"amount\" is the text \"12\"",
        ),
        (
            r#"[{"amount": 1, "country": "FR"}, {"country": "FR"}]"#,
            Kind::Unprocessable,
            "record 1: column \"amount\" is missing; give it",
        ),
        (r#"{"amount": 1}"#, Kind::Unprocessable, "column \"country\" is missing"),
        (r#"{"amount": 1e308, "country": "FR"}"#, Kind::Unprocessable, "column \"amount\" is 5e307, which is no FP32"),
        (
            r#"{"amount": 1, "county": "FR"}"#,
            Kind::Unprocessable,
            "there is no column \"county\"; the service takes amount, country",
        ),
        (r#"{"amount": 1, "amount": 2}"#, Kind::Unprocessable, "\"amount\" is given twice"),
        (
            r#"{"amount": [1, 2], "country": ["FR"]}"#,
            Kind::Unprocessable,
            "column \"country\" has 1 values; another has 2",
        ),
        (r#"{"amount": [1], "country": "FR"}"#, Kind::Unprocessable, "some columns are lists"),
        (r#"{"amount": [[1]], "country": ["FR"]}"#, Kind::Unprocessable, "column \"amount\" holds a list in a list"),
        (r#"[{"amount": [1]}]"#, Kind::Unprocessable, "record 0: column \"amount\" is a list"),
        (r#"{"amount": {"a": 1}}"#, Kind::Unprocessable, "in column \"amount\""),
        (r#"[1]"#, Kind::Unprocessable, "an object as record 0"),
        ("7", Kind::Unprocessable, "a list of such objects"),
        ("[]", Kind::Unprocessable, "no record"),
        (r#"{"amount": [], "country": []}"#, Kind::Unprocessable, "no record"),
        ("{}", Kind::Unprocessable, "column \"amount\" is missing"),
        (r#"{"amount": [1,2,3,4]}"#, Kind::Unprocessable, "records.maxRows"),
        ("{\"amount\": 1", Kind::Invalid, "no JSON"),
        ("{\"amount\": 1, \"country\": \"FR\"} x", Kind::Invalid, "no JSON"),
        ("", Kind::Invalid, "no JSON"),
        (r#"{"amount": NaN}"#, Kind::Invalid, "no JSON"),
    ] {
        let error = step().prepare(body.as_bytes()).unwrap_err();
        assert_eq!(error.kind, kind, "{body}: {error}");
        assert!(error.message.contains(says), "{body}: {error}");
    }
}

#[test]
fn unknown_keys_are_passed_over_where_that_is_asked() {
    let spec = COLUMNS.replacen('{', r#"{"ignoreUnknown": true, "#, 1);
    let step = compile(&spec, &model(&[("x", Datatype::Fp32, &[-1, 4])])).unwrap();
    let body = r#"[{"id": {"deep": [1]}, "amount": 1, "country": "FR"}]"#;
    assert_eq!(step.prepare(body.as_bytes()).unwrap().rows, 1);
}

#[test]
fn an_input_for_each_column() {
    let inputs: &[(&str, Datatype, &[i64])] = &[
        ("country", Datatype::Bytes, &[-1, 1]),
        ("hour", Datatype::Int64, &[-1]),
        ("amount", Datatype::Fp32, &[-1, 1]),
        ("present", Datatype::Bool, &[-1, 1]),
    ];
    let spec = r#"{"columns": [{"name": "amount"}, {"name": "country", "categories": ["DÉ", ""]}, {"name": "hour"}, {"name": "present"}]}"#;
    let step = compile(spec, &model(inputs)).unwrap();
    let body = r#"[{"amount": 1.5, "country": "D\u00c9", "hour": 3, "present": true}, {"amount": 2, "country": "", "hour": 4, "present": 0}]"#;
    let tensors = step.prepare(body.as_bytes()).unwrap().inputs;
    let tensor = |name: &str, shape: &[usize], data| Tensor { name: name.into(), shape: shape.to_vec(), data };
    assert_eq!(
        tensors,
        [
            tensor("amount", &[2, 1], Data::Fp32(vec![1.5, 2.0])),
            tensor("country", &[2, 1], Data::Bytes(vec!["DÉ".into(), "".into()])),
            tensor("hour", &[2], Data::Int64(vec![3, 4])),
            tensor("present", &[2, 1], Data::Bool(vec![true, false])),
        ]
    );
    for (body, says) in [
        (
            r#"{"amount": 1, "country": 5, "hour": 1, "present": 1}"#,
            "\"country\" is the number 5, and should be a text",
        ),
        (
            r#"{"amount": 1, "country": "X", "hour": 1, "present": 1}"#,
            "\"country\" is \"X\", which is none of its categories",
        ),
        (r#"{"amount": 1, "country": null, "hour": 1, "present": 1}"#, "\"country\" is missing"),
        (r#"{"amount": 1, "country": "", "hour": 1.5, "present": 1}"#, "\"hour\" is 1.5, which is no INT64"),
        (
            r#"{"amount": 1, "country": "", "hour": 9007199254740993, "present": 1}"#,
            "\"hour\" is 9007199254740992.0, which is no INT64",
        ),
        (r#"{"amount": 1, "country": "", "hour": 1, "present": 2}"#, "\"present\" is 2.0, which is no BOOL"),
    ] {
        let error = step.prepare(body.as_bytes()).unwrap_err();
        assert!(error.message.contains(says), "{body}: {error}");
    }
}

#[test]
fn windows_over_a_series() {
    let spec = r#"{"columns": [{"name": "a"}, {"name": "b"}], "window": {"length": 3, "stride": 2}}"#;
    let step = compile(spec, &model(&[("x", Datatype::Fp64, &[-1, 3, 2])])).unwrap();
    let tabular = step.prepare(br#"{"a": [0, 1, 2, 3, 4, 5], "b": [10, 11, 12, 13, 14, 15]}"#).unwrap();
    assert_eq!((tabular.rows, &tabular.inputs[0].shape), (2, &vec![2, 3, 2]));
    let expected = vec![0.0, 10.0, 1.0, 11.0, 2.0, 12.0, 2.0, 12.0, 3.0, 13.0, 4.0, 14.0];
    assert_eq!(tabular.inputs[0].data, Data::Fp64(expected));
    let error = step.prepare(br#"{"a": [0, 1], "b": [1, 2]}"#).unwrap_err();
    assert!(error.message.contains("records.window.length needs 3"), "{error}");
    assert!(compile(spec, &model(&[("x", Datatype::Fp32, &[-1, 4, 2])])).err().unwrap().contains("[windows, 3, 2]"));
}

#[test]
fn columns_that_do_not_fit_name_both_sides() {
    let column = |rest: &str| format!(r#"{{"columns": [{{"name": "a"{rest}}}]}}"#);
    let float: &[(&str, Datatype, &[i64])] = &[("x", Datatype::Fp32, &[-1, 1])];
    for (spec, inputs, says) in [
        (r#"{"columns": []}"#.to_owned(), float, "no columns"),
        (
            r#"{"columns": [{"name": "a"}, {"name": "a"}]}"#.to_owned(),
            &[("x", Datatype::Fp32, &[-1, 2])],
            "two columns a",
        ),
        (
            r#"{"columns": [{"name": "a"}, {"name": "b"}]}"#.to_owned(),
            float,
            "[batch, 2], or [batch, 1] for each of a, b; the model takes x FP32[-1, 1]",
        ),
        (column(""), &[("a", Datatype::Fp32, &[-1, 1]), ("b", Datatype::Fp32, &[-1, 1])], "b FP32"),
        (column(r#", "std": 0"#), float, "column a: std is 0"),
        (column(r#", "missing": 0, "missingAsNaN": true"#), float, "give missing or missingAsNaN"),
        (column(r#", "unknown": 0"#), float, "unknown is for"),
        (column(r#", "categories": ["u", "u"]"#), float, "\"u\" is there twice"),
        (column(r#", "missingAsNaN": true"#), &[("a", Datatype::Int64, &[-1, 1])], "INT64"),
        (column(r#", "mean": 1"#), &[("a", Datatype::Bytes, &[-1, 1])], "BYTES"),
    ] {
        let error = compile(&spec, &model(inputs)).err().unwrap_or_else(|| panic!("{spec} fits"));
        assert!(error.contains(says), "{spec}: {error}");
    }
}
