//! Texts to embeddings with a real model: the example as it stands, held to the reference in Python.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

mod support;

use serde_json::{Value, json};
use support::{
    Serving,
    real::{Real, example},
};

async fn embeddings(real: &Real) -> Serving {
    // A debug build on a busy machine takes its time for a hundred texts at once.
    let manifest = format!("{}  access: {{timeout: 10m}}\n", example("text-embeddings.yaml"));
    real.serve(&manifest, &real.models.join("minilm")).await.unwrap()
}

/// Texts of every kind that a tokenizer can stumble over.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "\n\t\r\n",
        "a",
        "A man is eating food.",
        "The girl is carrying a baby.",
        "UPPER lower MiXeD",
        "Ünïcödé wíth áccents",
        "Straße und Weiß",
        "İstanbul ıI",
        "日本語のテキストです。",
        "中文和English混合",
        "한국어 문장",
        "Привет, как дела?",
        "مرحبا بالعالم",
        "שלום עולם",
        "हिन्दी में एक वाक्य",
        "ภาษาไทยไม่มีช่องว่าง",
        "🦀🦀 👩‍👩‍👧‍👦 🏳️‍🌈",
        "e\u{301} versus é",
        "zero\u{200b}width\u{feff}marks",
        "null\0inside",
        "control\u{7}\u{1b}[31m",
        "\u{fffd}\u{fffe}\u{10ffff}",
        "[CLS] [SEP] [PAD] [UNK] [MASK]",
        "##ing ## #hash @at",
        "1234567890 3.14159 -1e-10 0x7f",
        "don't won't it's",
        "https://example.org/a?b=c&d=%20#e",
        "user@example.org",
        "fn main() { println!(\"{}\", 1 + 2); }",
        "{\"json\": [1, 2]}",
        "\"quoted\" and \\escaped\\ text",
        "...!!!???",
        "½ ¾ ² ³ ™ ©",
        "ﬁ ligature ﬀ",
        "Ａｆｕｌｌｗｉｄｔｈ",
        "𝒻𝒶𝓃𝒸𝓎 𝕞𝕒𝕥𝕙",
    ]
    .map(str::to_owned)
    .into();
    texts.push("x".repeat(5_000));
    texts.push("日本".repeat(3_000));
    texts.push("many words in a very long text ".repeat(2_000));
    texts.push("🦀".repeat(10_000));
    // Every length around the edges of buckets: 32, 64, 128 and 256 tokens, two of them special.
    texts.extend([29, 30, 31, 61, 62, 63, 125, 126, 127, 253, 254, 255, 256].map(|words| "word ".repeat(words)));
    texts.extend((0..40).map(|at| format!("Sentence number {at} speaks of {} and {}.", at * 37, "things ".repeat(at))));
    texts
}

fn vectors(value: &Value) -> Vec<Vec<f64>> {
    serde_json::from_value(value.clone()).unwrap()
}

/// The largest distance by cosine, and the largest difference of a number.
fn distance(ours: &[Vec<f64>], theirs: &[Vec<f64>]) -> (f64, f64) {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).fold((0.0, 0.0), |(cosine, difference), (a, b)| {
        assert_eq!(a.len(), b.len());
        let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
        let length = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let largest = a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(difference, f64::max);
        (f64::max(cosine, 1.0 - dot / (length(a) * length(b))), largest)
    })
}

#[tokio::test]
async fn embeddings_equal_the_reference() {
    let Some(real) = Real::here() else { return };
    let serving = embeddings(&real).await;
    let texts = texts();
    let list = json!(texts).to_string();
    let file = |name: &str| real.models.join("minilm").join(name).to_str().unwrap().to_owned();
    let reference = real.python("minilm_reference.py", &[&file("model.onnx"), &file("tokenizer.json"), "256"], &list);
    let theirs = vectors(&reference["embeddings"]);
    let (status, body) = serving.post_as("/process", "application/json", list).await;
    assert_eq!(status, 200, "{body}");
    let together = vectors(&serde_json::from_str(&body).unwrap());
    let (cosine, difference) = distance(&together, &theirs);
    println!("{} texts in one request: cosine distance {cosine:.2e}, largest difference {difference:.2e}", texts.len());
    assert!(cosine < 1e-4 && difference < 1e-3, "{cosine} {difference}");
    for (text, theirs) in texts.iter().zip(&theirs).step_by(7) {
        let (status, body) = serving.post_as("/process", "text/plain", text.clone()).await;
        assert_eq!(status, 200, "{text:.40}: {body}");
        let alone = vec![serde_json::from_str(&body).unwrap()];
        let (cosine, difference) = distance(&alone, std::slice::from_ref(theirs));
        assert!(cosine < 1e-4 && difference < 1e-3, "{text:.40}: {cosine} {difference}");
    }
    let (_, body) =
        serving.post("/v1/embeddings", &json!({"model": "text-embeddings", "input": texts}).to_string()).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    let tokens: u64 = reference["tokens"].as_array().unwrap().iter().filter_map(Value::as_u64).sum();
    assert_eq!(answer["usage"]["prompt_tokens"], tokens);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_openai_client_unchanged() {
    let Some(real) = Real::here() else { return };
    let serving = embeddings(&real).await;
    let base = format!("http://{}/v1", serving.address);
    let tokenizer = real.models.join("minilm/tokenizer.json").to_str().unwrap().to_owned();
    let arguments = [base, "text-embeddings".into(), "key".into(), String::new(), tokenizer];
    real.client("openai_client.py", arguments.into(), 16).await;
}

#[tokio::test]
async fn bad_texts_are_refused_and_nothing_else_suffers() {
    let Some(real) = Real::here() else { return };
    let limits = "maxLength: 8, overflow: Refuse, maxBytes: 1000, maxTexts: 3, tokenTypes: true";
    let manifest = example("text-embeddings.yaml").replace("maxLength: 256, tokenTypes: true", limits);
    let manifest = format!("{manifest}  access: {{maxJsonDepth: 4}}\n");
    let serving = real.serve(&manifest, &real.models.join("minilm/model.onnx")).await.unwrap();
    for (content_type, body, status, says) in [
        ("application/json", r#"["a", "b", "c"]"#.as_bytes().to_vec(), 200, "["),
        ("application/json", br#"["a", "b", "c", "d"]"#.to_vec(), 422, "tokenize.maxTexts"),
        ("application/json", b"[]".to_vec(), 422, "no text"),
        ("application/json", b"{\"text\": ".to_vec(), 400, "no JSON"),
        ("application/json", b"[[[[[1]]]]]".to_vec(), 400, "access.maxJsonDepth"),
        ("application/json", br#"{"prompt": "a"}"#.to_vec(), 422, "the body holds no texts"),
        (
            "application/json",
            json!(["a", "b ".repeat(600)]).to_string().into_bytes(),
            422,
            "text 1 has 1200 bytes; tokenize.maxBytes",
        ),
        ("text/plain", "b ".repeat(100).into_bytes(), 422, "text 0 has 102 tokens; tokenize.maxLength"),
        ("text/plain; charset=utf-8", vec![0xff, 0xfe], 422, "UTF-8"),
        ("text/plain", Vec::new(), 200, "["),
    ] {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let (got, text) = serving.post_as("/process", content_type, body).await;
        assert_eq!(got, status, "{shown:.60}: {text:.200}");
        assert!(text.contains(says), "{shown:.60}: {text:.200}");
    }
    for (body, status, says) in [
        (json!({"model": "other", "input": "a"}), 404, "model_not_found"),
        (json!({"model": "text-embeddings", "input": ["a", "b", "c", "d"]}), 422, "tokenize.maxTexts"),
        (json!({"model": "text-embeddings", "input": [[[[[1]]]]]}), 400, "access.maxJsonDepth"),
        (json!({"model": "team-a.text-embeddings", "input": "a"}), 200, "team-a.text-embeddings"),
    ] {
        let (got, text) = serving.post("/v1/embeddings", &body.to_string()).await;
        assert_eq!(got, status, "{body}: {text:.200}");
        assert!(text.contains(says), "{body}: {text:.200}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(
            status == 200 || answer["error"]["message"].is_string() && answer["error"]["type"].is_string(),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_does_not_fit_the_model_is_said_at_the_start() {
    let Some(real) = Real::here() else { return };
    let good = example("text-embeddings.yaml");
    let folder = real.models.join("minilm");
    for (from, to, reason, says) in [
        ("tokenTypes: true", "tokenTypes: false", "PipelineMismatch", "token_type_ids INT64"),
        ("file: tokenizer.json", "file: other.json", "PipelineMismatch", "other.json isn't among model.files"),
        ("output: last_hidden_state", "output: pooled", "PipelineMismatch", "last_hidden_state FP32"),
        ("- meanPool: {output: last_hidden_state}\n", "", "PipelineMismatch", "meanPool"),
        ("be50c362", "00000000", "DigestMismatch", "tokenizer.json: "),
        ("path: tokenizer.json", "path: ../tokenizer.json", "Invalid", "no plain path"),
        ("path: tokenizer.json", "path: none.json", "FetchFailed", "none.json"),
    ] {
        let error = real.serve(&good.replace(from, to), &folder).await.err().unwrap();
        assert!(error.reason == reason && error.message.contains(says), "{to}: {error}");
        assert!(!error.message.contains(folder.to_str().unwrap()), "{error}");
    }
}
