//! The parts of OpenAPI 3.1 that are written, as types.

use schemars::Schema;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The whole document.
#[derive(Serialize)]
pub struct Document {
    /// The version of OpenAPI.
    pub openapi: &'static str,
    /// What is described.
    pub info: Info,
    /// Where it is, relative to the document.
    pub servers: [Server; 1],
    /// What can be called.
    pub paths: BTreeMap<String, PathItem>,
    /// What several operations name.
    pub components: Components,
}

/// What is described.
#[derive(Serialize)]
pub struct Info {
    /// The model's name.
    pub title: String,
    /// The model's version.
    pub version: String,
    /// For readers.
    pub description: &'static str,
}

/// An address.
#[derive(Serialize)]
pub struct Server {
    /// Relative to the document.
    pub url: &'static str,
}

/// Schemas by name.
#[derive(Serialize)]
pub struct Components {
    /// The schemas.
    pub schemas: Map<String, Value>,
}

/// Operations of a path.
#[derive(Default, Serialize)]
pub struct PathItem {
    /// Reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get: Option<Operation>,
    /// Works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post: Option<Operation>,
}

/// One operation.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its name, unlike any other.
    pub operation_id: String,
    /// What it does.
    pub summary: &'static str,
    /// Headers that change its meaning.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// What it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_body: Option<RequestBody>,
    /// All answers, by status.
    pub responses: BTreeMap<u16, Answer>,
}

/// A header of a request.
#[derive(Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// `header`
    #[serde(rename = "in")]
    pub place: &'static str,
    /// What it says.
    pub description: &'static str,
    /// Its values.
    pub schema: Schema,
}

/// What an operation takes.
#[derive(Serialize)]
pub struct RequestBody {
    /// Whether it must be there.
    pub required: bool,
    /// Its forms.
    pub content: Content,
}

/// Forms of a body by their media types.
pub type Content = BTreeMap<&'static str, Media>;

/// One form of a body.
#[derive(Default, Serialize)]
pub struct Media {
    /// What it must be; without one, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
    /// One that is answered by 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<Value>,
}

impl From<Schema> for Media {
    fn from(schema: Schema) -> Self {
        Self { schema: Some(schema), example: None }
    }
}

/// One answer.
#[derive(Serialize)]
pub struct Answer {
    /// When it is given.
    pub description: &'static str,
    /// Its forms; none: it has no body.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub content: Content,
}
