//! Requests, good and bad, by tables; and whatever dimensions a caller may think of.

use super::*;
use crate::protocol::{data::Datatype, tensor::TensorSpec};
use proptest::prelude::*;

fn spec(name: &str, shape: &[i64]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), datatype: Datatype::Fp32, shape: shape.to_vec() }
}

fn signature() -> Signature {
    Signature { inputs: vec![spec("x", &[-1, 2])], outputs: vec![spec("y", &[-1, 2])] }
}

fn check(json: &str, binary: &'static [u8]) -> Result<(Vec<Tensor>, usize), String> {
    parse(json.as_bytes(), Bytes::from_static(binary))
        .and_then(|request| {
            check_wanted(&request.outputs, &signature())?;
            fit(request.inputs, &signature(), 4)
        })
        .map_err(|error| error.message)
}

#[test]
fn good_requests() {
    for (json, binary) in [
        (r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}"#, &b""[..]),
        (r#"{"inputs":[{"data":[[1,2]],"name":"x","shape":[1,2],"datatype":"FP32"}],"outputs":[{"name":"y"}]}"#, b""),
        (
            r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}]}"#,
            b"\0\0\x80\x3f\0\0\0\x40",
        ),
    ] {
        let (tensors, rows) = check(json, binary).unwrap();
        assert_eq!((&tensors[0].data, rows), (&Data::Fp32(vec![1.0, 2.0]), 1), "{json}");
    }
}

#[test]
fn bad_requests_say_why() {
    for (json, binary, say) in [
        ("{", &b""[..], "no inference request"),
        (r#"{"inputs":[]}"#, b"", "missing"),
        (r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP33","data":[1,2]}]}"#, b"", "unknown datatype"),
        (r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"INT32","data":[1,2]}]}"#, b"", "the model takes FP32"),
        (r#"{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}"#, b"", "the model takes"),
        (r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1]}]}"#, b"", "1 elements"),
        (r#"{"inputs":[{"name":"x","shape":[2,1],"datatype":"FP32","data":[[1,2]]}]}"#, b"", "should have [2, 1]"),
        (r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32"}]}"#, b"", "no data"),
        (r#"{"inputs":[{"name":"x","shape":[-1,2],"datatype":"FP32","data":[]}]}"#, b"", "dimension -1"),
        (r#"{"inputs":[{"name":"x","shape":[5,2],"datatype":"FP32","data":[1,2,3,4,5,6,7,8,9,0]}]}"#, b"", "1 to 4"),
        (r#"{"inputs":[{"name":"x","shape":[0,2],"datatype":"FP32","data":[]}]}"#, b"", "0 rows"),
        (
            r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":9}}]}"#,
            b"12345678",
            "binary_data_size",
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}]}"#,
            b"123456789",
            "follow the last",
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]},{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}"#,
            b"",
            "more than once",
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]},{"name":"z","shape":[1],"datatype":"FP32","data":[1]}]}"#,
            b"",
            "no input \"z\"",
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}],"outputs":[{"name":"y"},{"name":"y"}]}"#,
            b"",
            "more than once",
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}],"outputs":[{"name":"q"}]}"#,
            b"",
            "no output",
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"shared_memory_region":"r"}}]}"#,
            b"",
            "isn't supported",
        ),
    ] {
        let error = check(json, binary).unwrap_err();
        assert!(error.contains(say), "{json}: {error}");
    }
}

#[test]
fn raw_bodies() {
    let raw = |body: &'static [u8]| parse_raw(&Bytes::from_static(body), &signature());
    assert_eq!(raw(b"12345678").unwrap().inputs[0].shape, [1, 2]);
    assert!(raw(b"1234567").is_err());
    let free = Signature { inputs: vec![spec("x", &[-1, -1])], outputs: vec![spec("y", &[-1, 2])] };
    assert_eq!(parse_raw(&Bytes::from_static(b"123456781234"), &free).unwrap().inputs[0].shape, [1, 3]);
}

/// The engine's strings end at a zero byte, and are UTF-8: what isn't would fail the batch of others.
#[test]
fn strings_that_are_no_texts() {
    let spec = TensorSpec { name: "x".to_owned(), datatype: Datatype::Bytes, shape: vec![-1] };
    for (strings, expected) in [
        (vec![Bytes::from_static(b"a"), Bytes::from_static("ü".as_bytes()), Bytes::new()], None),
        (vec![Bytes::from_static(b"a"), Bytes::from_static(b"\xff")], Some("element 1")),
        (vec![Bytes::from_static(b"a\0b")], Some("element 0")),
    ] {
        let error = spec.check_texts(&Data::Bytes(strings)).err().map(|error| error.message);
        assert_eq!(error.is_some(), expected.is_some(), "{error:?}");
        assert!(error.unwrap_or_default().contains(expected.unwrap_or_default()));
    }
}

proptest! {
    #[test]
    fn no_shape_panics_or_allocates(dims in proptest::collection::vec(prop_oneof![Just(0), Just(-1), Just(1i64 << 31), Just(i64::MAX), 1..3i64], 0..5), size in 0usize..20) {
        let json = format!(r#"{{"inputs":[{{"name":"x","shape":{dims:?},"datatype":"FP32","parameters":{{"binary_data_size":{size}}}}}]}}"#);
        if let Ok(request) = parse(json.as_bytes(), Bytes::from(vec![0; size])) {
            prop_assert_eq!(request.inputs[0].data.len() * 4, size);
        }
    }
}
