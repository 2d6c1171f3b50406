//! What raw input may be and what is answered to it, as JSON Schema: for the OpenAPI document.

use super::{
    Class, Pipeline,
    input::Input,
    output::{Form, Output, Step},
    text,
    value::{Detection, Region, Segment, Series, Text, number},
};
use crate::openapi::{Content, Media};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::json;

/// Images that are decoded, by their media types.
pub const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/webp", "image/gif"];

/// Forms of raw bytes.
#[must_use]
pub fn bytes(types: &[&'static str]) -> Content {
    types.iter().map(|kind| (*kind, Media::default())).collect()
}

impl Pipeline {
    /// The forms of a raw input by their media types.
    #[must_use]
    pub fn forms(&self, generator: &mut SchemaGenerator) -> Content {
        match &self.input {
            None => Content::new(),
            Some(Input::Bytes(_)) => bytes(&["application/octet-stream"]),
            Some(Input::Image(_)) => bytes(&IMAGES),
            Some(Input::Audio(_)) => bytes(&["audio/wav", "audio/flac"]),
            Some(Input::Text(_)) => {
                let texts = Media {
                    schema: Some(generator.subschema_for::<text::input::Wire<'_>>()),
                    example: Some(json!(["a text", {"text": "another"}])),
                };
                Content::from([("application/json", texts), ("text/plain", json_schema!({"type": "string"}).into())])
            }
            Some(Input::Records(records)) => Content::from([("application/json", records.schema().into())]),
        }
    }

    /// The answer to a raw input.
    #[must_use]
    pub fn answers(&self, generator: &mut SchemaGenerator) -> Schema {
        let value = self.output.schema(generator);
        match &self.input {
            // Several items are answered by a list of values.
            Some(Input::Text(_) | Input::Records(_) | Input::Audio(_)) => {
                json_schema!({"anyOf": [value, {"type": "array", "items": value}]})
            }
            // What is too short has a class of its own.
            Some(Input::Bytes(_)) => json_schema!({"anyOf": [value, generator.subschema_for::<Class>()]}),
            _ => value,
        }
    }
}

impl Output {
    /// The value of one item: what its last step makes.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        match self.steps.last() {
            None if self.form == Form::Series => generator.subschema_for::<Series>(),
            None | Some(Step::MeanPool | Step::Softmax | Step::Sigmoid | Step::L2Normalize) => {
                json_schema!({"type": "array", "items": number(generator)})
            }
            Some(Step::Argmax(_)) => generator.subschema_for::<Class>(),
            Some(Step::TopK(..)) => generator.subschema_for::<Vec<Class>>(),
            Some(Step::Threshold(_)) if self.steps.iter().any(|step| matches!(step, Step::TopK(..))) => {
                generator.subschema_for::<Vec<Class>>()
            }
            Some(Step::Threshold(_)) => generator.subschema_for::<Class>(),
            Some(Step::Regression(_)) => json_schema!({
                "type": "object",
                "required": ["value"],
                "properties": {"value": number(generator), "unit": {"type": "string"}},
            }),
            Some(Step::Regions(_)) => generator.subschema_for::<Vec<Region>>(),
            Some(Step::Ctc(_)) => generator.subschema_for::<Text>(),
            Some(Step::NonMax(_)) => generator.subschema_for::<Vec<Detection>>(),
            Some(Step::Speech(_)) => generator.subschema_for::<Vec<Segment>>(),
            Some(Step::Scores(_)) => json_schema!({"type": "object", "additionalProperties": number(generator)}),
            Some(Step::Name(_)) => {
                json_schema!({"type": "object", "required": ["label"], "properties": {"label": {"type": "string"}}})
            }
        }
    }
}
