//! Raw input, by the input steps of a pipeline that fits a model.

use super::spec;
use millrace_crds::{ModelFile, Pipeline as Spec};
use millrace_server::{
    model::{files::Files, verify},
    pipeline::{Pipeline, Prepared, Raw, Target},
    protocol::{
        data::{Data, Datatype},
        shape,
        tensor::{Signature, Tensor, TensorSpec},
    },
};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Rows that a run takes.
const ROWS: usize = 4;

fn pipeline(steps: &str, inputs: Vec<TensorSpec>, files: &Files) -> Pipeline {
    let signature = Signature { inputs, outputs: vec![spec("y", Datatype::Fp32, &[-1, 2])] };
    let metadata = BTreeMap::new();
    let target = Target { signature: &signature, max_rows: ROWS, few_lengths: false, files, metadata: &metadata };
    let spec: Spec = serde_json::from_str(&format!(r#"{{"preprocess": {steps}}}"#)).expect("steps of a manifest");
    match Pipeline::compile(&spec, &target) {
        Ok(pipeline) => pipeline,
        Err(error) => panic!("{error}"),
    }
}

/// The tensors of all runs that an input became; none if it was refused.
fn prepared(pipeline: &Pipeline, raw: &Raw) -> Vec<Tensor> {
    let Ok(Prepared::Runs(runs)) = pipeline.prepare(raw) else { return Vec::new() };
    let mut tensors = Vec::new();
    for batch in runs.batches {
        assert!((1..=ROWS).contains(&batch.rows.len()), "{} rows", batch.rows.len());
        for tensor in &batch.inputs {
            assert_eq!(Some(tensor.data.len()), shape::count(&tensor.shape), "{:?}", tensor.shape);
        }
        tensors.extend(batch.inputs);
    }
    tensors
}

/// Image files.
pub fn image(input: &[u8]) -> bool {
    static PIPELINE: LazyLock<Pipeline> = LazyLock::new(|| {
        let steps = r#"[{"decodeImage": {"maxPixels": 65536}}, {"resize": {"width": 24, "height": 16, "mode": "Letterbox"}}, {"normalize": {}}]"#;
        pipeline(steps, vec![spec("x", Datatype::Fp32, &[-1, 3, 16, 24])], &Files::default())
    });
    let tensors = prepared(&PIPELINE, &input.to_vec().into());
    for tensor in &tensors {
        let Data::Fp32(numbers) = &tensor.data else { panic!("numbers were asked for") };
        assert_eq!(tensor.shape, [1, 3, 16, 24]);
        assert!(numbers.iter().all(|number| (0.0..=1.0).contains(number)));
    }
    !tensors.is_empty()
}

/// Audio files.
pub fn audio(input: &[u8]) -> bool {
    static PIPELINE: LazyLock<Pipeline> = LazyLock::new(|| {
        let steps = r#"[{"audio": {"sampleRate": 8000, "frame": 256, "context": 32, "maxSeconds": 2}}]"#;
        pipeline(steps, vec![spec("x", Datatype::Fp32, &[-1, 288])], &Files::default())
    });
    let tensors = prepared(&PIPELINE, &input.to_vec().into());
    let frames: usize = tensors.iter().map(|tensor| tensor.shape[0]).sum();
    // Two seconds, and what a last frame is filled up by.
    assert!(frames * 256 < 2 * 8000 + 2 * 256, "{frames} frames");
    frames > 0
}

/// A tokenizer as BERT's, of a few words.
const TOKENIZER: &str = r###"{
  "version": "1.0", "truncation": null, "padding": null,
  "added_tokens": [{"id": 0, "content": "[PAD]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
  "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
  "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": null,
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
  "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 20,
    "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "b": 5, "##a": 6, "##b": 7, "e": 8, "##e": 9, ".": 10, "日": 11}}}"###;

/// Bodies with texts: as JSON if the first byte is even, else as the text itself.
pub fn text(input: &[u8]) -> bool {
    const LENGTH: usize = 16;
    static PIPELINE: LazyLock<Pipeline> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("t.json"), TOKENIZER).expect("a file");
        let sha256 = verify::hex(&Sha256::digest(TOKENIZER)).into();
        let files = [ModelFile { path: "t.json".into(), sha256 }];
        let files = Files::new(folder.path().to_owned(), &files).expect("plain names");
        let inputs = ["input_ids", "attention_mask"].map(|name| spec(name, Datatype::Int64, &[-1, -1]));
        let steps = r#"[{"tokenize": {"file": "t.json", "maxLength": 16, "buckets": [4, 16], "maxBytes": 4096, "maxTexts": 32}}]"#;
        pipeline(steps, inputs.into(), &files)
    });
    let Some((first, body)) = input.split_first() else { return false };
    let raw = Raw { body: body.to_vec().into(), json: first % 2 == 0, deadline: None };
    let tensors = prepared(&PIPELINE, &raw);
    for tensor in &tensors {
        let Data::Int64(tokens) = &tensor.data else { panic!("tokens were asked for") };
        assert!(tensor.shape[1] <= LENGTH && tokens.iter().all(|token| (0..12).contains(token)), "{tokens:?}");
    }
    !tensors.is_empty()
}
