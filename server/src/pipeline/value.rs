//! What output steps pass on, and what is answered in the end.

use serde::Serialize;

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
    /// One value for each item of a request that held several.
    List(Vec<Value>),
}

/// A class and how sure the model is of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Class {
    /// Its name.
    pub label: String,
    /// Its score.
    pub score: f32,
}
