//! A small tokenizer, by tables.

use super::*;
use crate::{
    model::files::Files,
    protocol::{
        data::{Data, Datatype},
        tensor::{Signature, TensorSpec},
    },
};
use millrace_crds::ModelFile;
use sha2::{Digest as _, Sha256};

/// Words by white space: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, a 4, b 5, c 6.
const TOKENIZER: &str = r#"{
  "version": "1.0", "added_tokens": [], "normalizer": {"type": "Lowercase"},
  "truncation": {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
  "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
  "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": null,
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
  "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "b": 5, "c": 6}}}"#;

fn folder(tokenizer: &str) -> (tempfile::TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.json"), tokenizer).unwrap();
    let sha256 = crate::model::verify::hex(&Sha256::digest(tokenizer)).into();
    let files = Files::new(folder.path().to_owned(), &[ModelFile { path: "t.json".into(), sha256 }]).unwrap();
    (folder, files)
}

fn model(inputs: &[(&str, Datatype, &[i64])]) -> Signature {
    let spec = |&(name, datatype, shape): &(&str, Datatype, &[i64])| TensorSpec {
        name: name.into(),
        datatype,
        shape: shape.to_vec(),
    };
    Signature { inputs: inputs.iter().map(spec).collect(), outputs: Vec::new() }
}

fn usual() -> Signature {
    let shape: &[i64] = &[-1, -1];
    model(&[
        ("attention_mask", Datatype::Int32, shape),
        ("input_ids", Datatype::Int64, shape),
        ("token_type_ids", Datatype::Int64, shape),
    ])
}

fn compile(spec: &str, signature: &Signature, tokenizer: &str) -> Result<TokenizeStep, String> {
    compiled(spec, signature, tokenizer, true)
}

fn compiled(spec: &str, signature: &Signature, tokenizer: &str, few_lengths: bool) -> Result<TokenizeStep, String> {
    let spec = format!(r#"{{"file": "t.json", {spec}}}"#);
    let (folder, metadata) = (folder(tokenizer), std::collections::BTreeMap::new());
    let target = Target { signature, max_rows: 8, few_lengths, files: &folder.1, metadata: &metadata };
    TokenizeStep::compile(&serde_json::from_str(&spec).unwrap(), &target)
}

fn step(spec: &str) -> TokenizeStep {
    compile(&format!(r#""tokenTypes": true, {spec}"#), &usual(), TOKENIZER).unwrap()
}

fn ids(step: &TokenizeStep, text: &str) -> Vec<u32> {
    step.encode(text, 0).unwrap().ids
}

#[test]
fn cut_but_never_padded_nor_cut_as_the_file_says() {
    let step = step(r#""maxLength": 5"#);
    for (text, expected) in [
        ("a B c", vec![2, 4, 5, 6, 3]),
        ("a b c a b c", vec![2, 4, 5, 6, 3]),
        ("", vec![2, 3]),
        ("x", vec![2, 1, 3]),
        ("  a\n\tb ", vec![2, 4, 5, 3]),
    ] {
        assert_eq!(ids(&step, text), expected, "{text:?}");
    }
}

#[test]
fn tokens_of_the_caller_get_special_ones_once() {
    let step = step(r#""maxLength": 5"#);
    for (given, expected) in [
        (&[4, 5][..], vec![2, 4, 5, 3]),
        (&[2, 4, 5, 3], vec![2, 4, 5, 3]),
        (&[], vec![2, 3]),
        (&[4, 5, 6, 4, 5], vec![2, 4, 5, 6, 3]),
    ] {
        assert_eq!(step.adopt(given, 0).unwrap().ids, expected, "{given:?}");
    }
    let error = step.adopt(&[4, 7], 3).unwrap_err();
    assert!(error.kind == Kind::Invalid && error.message.contains("text 3 has the token 7"), "{error}");
}

#[test]
fn each_limit_is_named() {
    let step = step(r#""maxLength": 4, "overflow": "Refuse", "maxBytes": 20, "maxTexts": 2"#);
    assert_eq!(ids(&step, "a b"), [2, 4, 5, 3]);
    for (error, field) in [
        (step.encode("a b c", 1).unwrap_err(), "tokenize.maxLength"),
        (step.adopt(&[4, 5, 6], 1).unwrap_err(), "tokenize.maxLength"),
        (step.encode("aaaaaaaaaaaaaaaaaaaaa", 1).unwrap_err(), "tokenize.maxBytes"),
        (step.check_count(3).unwrap_err(), "tokenize.maxTexts"),
    ] {
        assert!(error.kind == Kind::Unprocessable && error.message.contains(field), "{error}");
    }
    assert!(step.check_count(2).is_ok() && step.check_count(0).is_err());
}

#[test]
fn rows_are_padded_to_their_bucket_and_packed_with_their_like() {
    let step = step(r#""maxLength": 8, "buckets": [4, 8]"#);
    let texts: Vec<Tokens> = ["a", "a b c", "b", "c", ""].iter().map(|text| step.encode(text, 0).unwrap()).collect();
    let packed = step.pack(&texts, 3);
    assert_eq!(packed.iter().map(|batch| batch.texts.clone()).collect::<Vec<_>>(), [vec![0, 2, 3], vec![4], vec![1]]);
    let first = &packed[0];
    assert_eq!(
        first.inputs.iter().map(|tensor| &*tensor.name).collect::<Vec<_>>(),
        ["attention_mask", "input_ids", "token_type_ids"]
    );
    assert!(first.inputs.iter().all(|tensor| tensor.shape == [3, 4]));
    assert_eq!(first.inputs[0].data, Data::Int32(vec![1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0]));
    assert_eq!(first.inputs[1].data, Data::Int64(vec![2, 4, 3, 0, 2, 5, 3, 0, 2, 6, 3, 0]));
    assert_eq!(packed[2].inputs[1].shape, [1, 8]);
    assert_eq!((&packed[1].spans[0], &packed[2].spans[0]), (&(0..2), &(0..5)));
}

#[test]
fn padding_on_the_left_moves_the_tokens() {
    let left = TOKENIZER.replace(r#""direction": "Right", "pad_to"#, r#""direction": "Left", "pad_to"#);
    let step = compile(r#""tokenTypes": true, "maxLength": 4"#, &usual(), &left).unwrap();
    let packed = step.pack(&[step.encode("a", 0).unwrap()], 1);
    assert_eq!(packed[0].inputs[1].data, Data::Int64(vec![0, 2, 4, 3]));
    assert_eq!((&packed[0].inputs[0].data, &packed[0].spans[0]), (&Data::Int32(vec![0, 1, 1, 1]), &(1..4)));
}

#[test]
fn buckets_of_their_own() {
    for (spec, expected) in [
        (r#""maxLength": 256"#, vec![32, 64, 128, 256]),
        (r#""maxLength": 100"#, vec![32, 64, 100]),
        (r#""maxLength": 16"#, vec![16]),
        (r#""maxLength": 16, "buckets": [8, 24]"#, vec![8, 24]),
    ] {
        assert_eq!(step(spec).buckets(), expected, "{spec}");
    }
    let fine = |spec: &str| compiled(spec, &usual(), TOKENIZER, false).unwrap().buckets().to_vec();
    assert_eq!(fine(r#""tokenTypes": true, "maxLength": 44"#), [8, 16, 24, 32, 40, 44]);
    let long = fine(r#""tokenTypes": true, "maxLength": 4096"#);
    assert!(long.len() < 48 && long.windows(2).all(|pair| pair[1] - pair[0] <= (pair[0] / 8 + 8)), "{long:?}");
    let fixed = model(&[("input_ids", Datatype::Int64, &[-1, 128])]);
    assert_eq!(compile(r#""maxLength": 64"#, &fixed, TOKENIZER).unwrap().buckets(), [128]);
}

#[test]
fn what_does_not_fit_names_both_sides() {
    let ids = |datatype, shape| model(&[("input_ids", datatype, shape)]);
    for (spec, signature, tokenizer, says) in [
        (r#""maxLength": 8"#, usual(), TOKENIZER, "token_type_ids INT64"),
        (
            r#""maxLength": 8, "tokenTypes": true"#,
            ids(Datatype::Int64, &[-1, -1]),
            TOKENIZER,
            "named input_ids, attention_mask, token_type_ids",
        ),
        (r#""maxLength": 8"#, ids(Datatype::Fp32, &[-1, -1]), TOKENIZER, "FP32"),
        (r#""maxLength": 8"#, ids(Datatype::Int64, &[-1]), TOKENIZER, "input_ids INT64[-1]"),
        (r#""maxLength": 8"#, model(&[("text", Datatype::Bytes, &[-1])]), TOKENIZER, "text BYTES"),
        (r#""maxLength": 200"#, ids(Datatype::Int64, &[-1, 128]), TOKENIZER, "just 128 tokens"),
        (r#""maxLength": 2"#, ids(Datatype::Int64, &[-1, -1]), TOKENIZER, "2 special tokens"),
        (
            r#""maxLength": 9, "buckets": [4, 8]"#,
            ids(Datatype::Int64, &[-1, -1]),
            TOKENIZER,
            "to maxLength (9) or more",
        ),
        (r#""maxLength": 9, "buckets": [16, 8]"#, ids(Datatype::Int64, &[-1, -1]), TOKENIZER, "must rise"),
        (r#""maxLength": 9"#, ids(Datatype::Int64, &[-1, -1]), "{}", "t.json is no tokenizer"),
        (r#""maxLength": 9"#, ids(Datatype::Int64, &[-1, -1]), "no JSON", "t.json is no tokenizer"),
    ] {
        let error = compile(spec, &signature, tokenizer).err().unwrap_or_else(|| panic!("{spec} fits"));
        assert!(error.contains(says), "{says}: {error}");
    }
}
