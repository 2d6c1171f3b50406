//! OpenAI's `/v1/embeddings`, as its client libraries speak it.

use crate::error::{Error, Kind};
use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    model: String,
    input: Input,
    #[serde(default)]
    encoding_format: Format,
    #[serde(default)]
    dimensions: Option<usize>,
    #[serde(default, rename = "user")]
    _user: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Float,
    Base64,
}

#[derive(Deserialize)]
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

#[derive(Serialize)]
#[serde(untagged)]
enum Vector<'a> {
    Floats(&'a [f32]),
    Text(String),
}

#[derive(Serialize)]
struct Embedding<'a> {
    object: &'static str,
    index: usize,
    embedding: Vector<'a>,
}

#[derive(Serialize)]
struct Answer<'a> {
    object: &'static str,
    data: Vec<Embedding<'a>>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
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
pub fn error(error: &Error) -> serde_json::Value {
    let kind = match error.kind {
        Kind::Exhausted => "rate_limit_error",
        Kind::Engine | Kind::Unavailable | Kind::Deadline => "server_error",
        _ => "invalid_request_error",
    };
    let code = (error.kind == Kind::NotFound).then_some("model_not_found");
    let param = (error.kind == Kind::NotFound).then_some("model");
    json!({"error": {"message": error.message, "type": kind, "param": param, "code": code}})
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let body = error(&Error::new(Kind::NotFound, "there is no model"));
        assert_eq!(body["error"]["code"], "model_not_found");
        assert_eq!(error(&Error::new(Kind::Exhausted, "full"))["error"]["type"], "rate_limit_error");
        assert_eq!(error(&Error::invalid("x"))["error"]["code"], serde_json::Value::Null);
    }
}
