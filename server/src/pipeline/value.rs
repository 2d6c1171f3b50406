//! What output steps pass on, and what is answered in the end.

use super::image::Quad;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;

/// A value of the pipeline; its JSON is the answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// One class with its score.
    Class(Class),
    /// Classes, best first.
    Classes(Vec<Class>),
    /// Numbers of one output.
    Vector(Vec<f32>),
    /// A number with its unit.
    Number {
        /// The number.
        value: f32,
        /// Its unit.
        #[serde(skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
    },
    /// What was found in an image, best first.
    Boxes(Vec<Detection>),
    /// One of them.
    Detection(Detection),
    /// Regions of an image, row by row.
    Regions(Vec<Region>),
    /// One of them.
    Region(Region),
    /// A text that was read.
    Text(Text),
    /// Parts of other values.
    Object(Object),
    /// Scores of frames, in order.
    Series(Series),
    /// Stretches of audio, in order.
    Segments(Vec<Segment>),
    /// A class without a score.
    Label {
        /// Its name.
        label: String,
    },
    /// Scores by the names of their classes, in the model's order.
    Scores(Scores),
    /// One value for each item of a request that held several.
    List(Vec<Value>),
}

/// A number of a model as it is written: JSON has no word for what is none, nor for the infinite.
pub fn number(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"type": "number"}, {"type": "null"}]})
}

/// A class and how sure the model is of it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Class {
    /// Its name.
    pub label: String,
    /// Its score.
    #[schemars(schema_with = "number")]
    pub score: f32,
}

/// Something found in an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Detection {
    /// What it is.
    pub label: String,
    /// How sure the model is.
    #[serde(default)]
    #[schemars(schema_with = "number")]
    pub score: f32,
    /// Left, top, right, bottom, in pixels of the image that was sent.
    #[serde(rename = "box")]
    pub corners: [f32; 4],
}

/// A region of an image.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Region {
    /// How sure the model is, on average.
    #[schemars(schema_with = "number")]
    pub score: f32,
    /// Its corners, with the clock from the upper left one: x and y, in pixels of the image that was sent.
    #[serde(rename = "box")]
    pub corners: Quad,
}

/// A text.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Text {
    /// The text.
    pub text: String,
    /// How sure the model is of its letters, on average.
    #[schemars(schema_with = "number")]
    pub score: f32,
}

/// Parts of values by name: an object in JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(pub Vec<(String, Part)>);

/// A field of a value, or all of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Part {
    /// A label or text.
    Word(String),
    /// A score.
    Score(f32),
    /// Left, top, right, bottom.
    Sides([f32; 4]),
    /// Corners.
    Corners(Quad),
    /// All of it.
    Whole(Box<Value>),
}

impl Value {
    /// A field of its JSON object.
    #[must_use]
    pub fn part(&self, field: &str) -> Option<Part> {
        Some(match (self, field) {
            (Self::Class(Class { label, .. }) | Self::Label { label }, "label") => Part::Word(label.clone()),
            (Self::Detection(Detection { label, .. }), "label") => Part::Word(label.clone()),
            (Self::Text(Text { text, .. }), "text") => Part::Word(text.clone()),
            (Self::Class(Class { score, .. }) | Self::Detection(Detection { score, .. }), "score") => {
                Part::Score(*score)
            }
            (Self::Region(Region { score, .. }) | Self::Text(Text { score, .. }), "score") => Part::Score(*score),
            (Self::Number { value, .. }, "value") => Part::Score(*value),
            (Self::Detection(Detection { corners, .. }), "box") => Part::Sides(*corners),
            (Self::Region(Region { corners, .. }), "box") => Part::Corners(*corners),
            _ => return None,
        })
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, part)| (name, part)))
    }
}

/// A score for each frame of audio.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The scores.
    pub scores: Vec<f32>,
    /// Samples in a frame.
    pub frame: usize,
    /// Samples in all.
    pub length: usize,
    /// Samples in a second.
    pub rate: u32,
}

impl JsonSchema for Series {
    fn schema_name() -> Cow<'static, str> {
        "Series".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "required": ["frameSeconds", "scores"],
            "properties": {
                "frameSeconds": {"type": "number", "description": "Seconds of a frame"},
                "scores": {"type": "array", "items": number(generator)},
            },
        })
    }
}

/// A stretch of audio, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// Where it begins.
    pub start: f64,
    /// Where it ends.
    pub end: f64,
}

impl Serialize for Series {
    /// As `{"frameSeconds": 0.032, "scores": [...]}`.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        // Frames are at most 2^24 samples, which is exact.
        #[allow(clippy::cast_precision_loss)]
        let seconds = self.frame as f64 / f64::from(self.rate);
        let mut object = serializer.serialize_struct("Series", 2)?;
        object.serialize_field("frameSeconds", &seconds)?;
        object.serialize_field("scores", &self.scores)?;
        object.end()
    }
}

/// Scores by name: an object in JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores(pub Vec<(String, f32)>);

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, score)| (name, score)))
    }
}
