//! OpenAI's `/v1/embeddings`, as its client libraries speak it.

use crate::error::{Error, Kind};
use base64::Engine as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One text, as the caller sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// As it is.
    Text(String),
    /// Cut into tokens by the caller.
    Tokens(Vec<u32>),
}

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
pub struct EmbeddingsRequest {
    /// The model's name.
    pub model: String,
    /// Texts, in order.
    pub items: Vec<Item>,
    /// Vectors as base64 of little-endian 32-bit floats, which clients ask for to save time.
    pub base64: bool,
    /// Numbers of a vector that the caller counts on.
    pub dimensions: Option<usize>,
}

/// A request for embeddings, as OpenAI's clients send it.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "EmbeddingsRequest")]
#[serde(deny_unknown_fields)]
pub struct Wire {
    /// The model's name.
    model: String,
    input: Input,
    #[serde(default)]
    encoding_format: Format,
    /// Numbers of a vector: as many as the model gives.
    #[serde(default)]
    dimensions: Option<usize>,
    /// Has no effect.
    #[serde(default, rename = "user")]
    _user: Option<String>,
}

/// How vectors are written: as numbers, or as base64 of little-endian 32-bit floats.
#[derive(Default, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Float,
    Base64,
}

/// A text, a list of texts, a list of tokens, or a list of lists of tokens.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    ManyTokens(Vec<Vec<u32>>),
}

/// Reads a request.
///
/// # Errors
/// 400, with what is wrong.
pub fn parse(json: &[u8]) -> Result<EmbeddingsRequest, Error> {
    let wire: Wire = serde_json::from_slice(json).map_err(|error| {
        let text = error.to_string();
        if text.contains("untagged enum Input") {
            return Error::invalid(
                "input must be a text, a list of texts, a list of tokens, or a list of lists of tokens",
            );
        }
        Error::invalid(format!("the body is no embeddings request: {text}"))
    })?;
    let items = match wire.input {
        Input::Text(text) => vec![Item::Text(text)],
        Input::Texts(texts) => texts.into_iter().map(Item::Text).collect(),
        Input::Tokens(tokens) => vec![Item::Tokens(tokens)],
        Input::ManyTokens(lists) => lists.into_iter().map(Item::Tokens).collect(),
    };
    // An empty list reads as one of texts.
    if items.is_empty() || items.contains(&Item::Tokens(Vec::new())) {
        return Err(Error::invalid("input is empty"));
    }
    let base64 = matches!(wire.encoding_format, Format::Base64);
    Ok(EmbeddingsRequest { model: wire.model, items, base64, dimensions: wire.dimensions })
}

/// Numbers, or base64 of little-endian 32-bit floats.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(untagged)]
enum Vector<'a> {
    Floats(&'a [f32]),
    Text(String),
}

/// The vector of one text.
#[derive(Serialize, JsonSchema)]
struct Embedding<'a> {
    /// `embedding`
    object: &'static str,
    /// Which text.
    index: usize,
    embedding: Vector<'a>,
}

/// Embeddings, in the order of the texts.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Embeddings")]
pub struct Answer<'a> {
    /// `list`
    object: &'static str,
    data: Vec<Embedding<'a>>,
    /// The model's name.
    model: &'a str,
    usage: Usage,
}

/// Tokens of all texts together.
#[derive(Serialize, JsonSchema)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

/// An error, as OpenAI's clients read it.
#[derive(Serialize, JsonSchema)]
pub struct OpenAiFailure<'a> {
    error: Problem<'a>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Problem<'a> {
    /// What is wrong, and how to mend it.
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

/// Writes an answer: vectors in the order of the texts, and the tokens of all together.
///
/// # Errors
/// The answer can't be written.
pub fn encode(request: &EmbeddingsRequest, vectors: &[Vec<f32>], tokens: usize) -> Result<Vec<u8>, Error> {
    let vector = |numbers: &'_ [f32]| {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Vector::Text(base64::engine::general_purpose::STANDARD.encode(bytes))
    };
    let data = vectors.iter().enumerate().map(|(index, numbers)| {
        let embedding = if request.base64 { vector(numbers) } else { Vector::Floats(numbers) };
        Embedding { object: "embedding", index, embedding }
    });
    let usage = Usage { prompt_tokens: tokens, total_tokens: tokens };
    let answer = Answer { object: "list", data: data.collect(), model: &request.model, usage };
    serde_json::to_vec(&answer).map_err(|_| Error::new(Kind::Engine, "the answer can't be written"))
}

/// An error as OpenAI's clients read it.
#[must_use]
pub fn error(error: &Error) -> OpenAiFailure<'_> {
    let kind = match error.kind {
        Kind::Exhausted => "rate_limit_error",
        Kind::Engine | Kind::Unavailable | Kind::Deadline => "server_error",
        _ => "invalid_request_error",
    };
    let code = (error.kind == Kind::NotFound).then_some("model_not_found");
    let param = (error.kind == Kind::NotFound).then_some("model");
    OpenAiFailure { error: Problem { message: &error.message, kind, param, code } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn items(input: &str) -> Result<Vec<Item>, String> {
        let body = format!(r#"{{"model": "m", "input": {input}}}"#);
        parse(body.as_bytes()).map(|request| request.items).map_err(|error| error.message)
    }

    #[test]
    fn inputs() {
        let text = |text: &str| Item::Text(text.to_owned());
        for (input, expected) in [
            (r#""a""#, vec![text("a")]),
            (r#"["a", ""]"#, vec![text("a"), text("")]),
            ("[1, 2]", vec![Item::Tokens(vec![1, 2])]),
            ("[[1], [2, 3]]", vec![Item::Tokens(vec![1]), Item::Tokens(vec![2, 3])]),
        ] {
            assert_eq!(items(input).unwrap(), expected, "{input}");
        }
        for (input, says) in [
            ("[]", "empty"),
            ("[[]]", "empty"),
            ("[[1], []]", "empty"),
            ("7", "input must be"),
            ("[-1]", "input must be"),
            ("[1.5]", "input must be"),
            (r#"["a", 1]"#, "input must be"),
            ("[99999999999]", "input must be"),
        ] {
            let error = items(input).unwrap_err();
            assert!(error.contains(says), "{input}: {error}");
        }
    }

    #[test]
    fn requests() {
        for (body, says) in [
            (r#"{"input": "a"}"#, "model"),
            (r#"{"model": "m"}"#, "input"),
            (r#"{"model": "m", "input": "a", "encoding_format": "hex"}"#, "hex"),
            (r#"{"model": "m", "input": "a", "truncate": true}"#, "truncate"),
            ("{", "no embeddings request"),
        ] {
            let error = parse(body.as_bytes()).unwrap_err();
            assert!(error.kind == Kind::Invalid && error.message.contains(says), "{body}: {error}");
        }
        let body = r#"{"model": "m", "input": "a", "encoding_format": "base64", "dimensions": 3, "user": "u"}"#;
        let request = parse(body.as_bytes()).unwrap();
        assert_eq!((request.base64, request.dimensions), (true, Some(3)));
        let answer: serde_json::Value =
            serde_json::from_slice(&encode(&request, &[vec![1.0, -2.0]], 5).unwrap()).unwrap();
        assert_eq!(answer["data"][0]["embedding"], "AACAPwAAAMA=");
        assert_eq!(answer["usage"], json!({"prompt_tokens": 5, "total_tokens": 5}));
    }

    #[test]
    fn errors() {
        let written = |kind| json!(error(&Error::new(kind, "x")));
        assert_eq!(written(Kind::NotFound)["error"]["code"], "model_not_found");
        assert_eq!(written(Kind::Exhausted)["error"]["type"], "rate_limit_error");
        assert_eq!(written(Kind::Invalid)["error"]["code"], serde_json::Value::Null);
    }
}
