//! What the body of a request says: one text, or several.

use crate::error::{Error, Kind};
use schemars::JsonSchema;
use serde::Deserialize;
use std::borrow::Cow;

/// Texts of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Texts<'a> {
    /// In the request's order.
    pub texts: Vec<Cow<'a, str>>,
    /// The request was one text, and is answered by one answer rather than a list.
    pub single: bool,
}

/// One text, or several.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Texts")]
#[serde(untagged)]
pub enum Wire<'a> {
    /// A text.
    One(#[serde(borrow)] Item<'a>),
    /// A list of texts.
    Many(#[serde(borrow)] Vec<Item<'a>>),
    /// The same in an object.
    Object {
        /// The texts.
        #[serde(borrow)]
        text: Vec<Plain<'a>>,
    },
}

/// One text.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "TextItem")]
#[serde(untagged)]
pub enum Item<'a> {
    /// As it is.
    Text(#[serde(borrow)] Plain<'a>),
    /// In an object.
    Object {
        /// The text.
        #[serde(borrow)]
        text: Plain<'a>,
    },
}

/// A text.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Plain<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> From<Item<'a>> for Cow<'a, str> {
    fn from(item: Item<'a>) -> Self {
        match item {
            Item::Text(Plain(text)) | Item::Object { text: Plain(text) } => text,
        }
    }
}

/// Reads a body: as JSON if its content type says so, else as the text itself.
///
/// # Errors
/// 400 for broken JSON, 422 for JSON that holds no texts, or bytes that are no UTF-8.
pub fn read(body: &[u8], json: bool) -> Result<Texts<'_>, Error> {
    if !json {
        let text = std::str::from_utf8(body)
            .map_err(|_| Error::new(Kind::Unprocessable, "the body is no text: it isn't UTF-8"))?;
        return Ok(Texts { texts: vec![Cow::Borrowed(text)], single: true });
    }
    let wire: Wire<'_> = serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Error::new(
            Kind::Unprocessable,
            r#"the body holds no texts: send "a text", {"text": "a text"}, or a list of these as application/json, or the text itself as text/plain"#,
        ),
        _ => Error::invalid(format!("the body is no JSON: {error}")),
    })?;
    Ok(match wire {
        Wire::One(item) => Texts { texts: vec![item.into()], single: true },
        Wire::Many(items) => Texts { texts: items.into_iter().map(Cow::from).collect(), single: false },
        Wire::Object { text } => Texts { texts: text.into_iter().map(|Plain(text)| text).collect(), single: false },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (body, json, texts, single) in [
            ("plain \"text\"", false, vec!["plain \"text\""], true),
            ("", false, vec![""], true),
            (r#""a""#, true, vec!["a"], true),
            (r#"{"text": "a\u00fc"}"#, true, vec!["aü"], true),
            (r#"{"text": ["a", "b"]}"#, true, vec!["a", "b"], false),
            (r#"["a", {"text": "b"}]"#, true, vec!["a", "b"], false),
            ("[]", true, vec![], false),
        ] {
            let read = read(body.as_bytes(), json).unwrap();
            assert_eq!(
                (read.texts.iter().map(|text| &**text).collect::<Vec<_>>(), read.single),
                (texts, single),
                "{body}"
            );
        }
    }

    #[test]
    fn refusals() {
        for (body, json, kind) in [
            (&b"\xff"[..], false, Kind::Unprocessable),
            (b"\"\xff\"", true, Kind::Invalid),
            (b"{", true, Kind::Invalid),
            (b"", true, Kind::Invalid),
            (b"1", true, Kind::Unprocessable),
            (b"[1]", true, Kind::Unprocessable),
            (b"null", true, Kind::Unprocessable),
            (br#"{"texts": "a"}"#, true, Kind::Unprocessable),
            (br#"["a", ["b"]]"#, true, Kind::Unprocessable),
            (br#""\ud800""#, true, Kind::Invalid),
        ] {
            assert_eq!(read(body, json).unwrap_err().kind, kind, "{}", String::from_utf8_lossy(body));
        }
    }
}
