//! What an answer says, as far as it can be compared with another or with a label.

use crate::pipeline::{
    Value,
    value::{Detection, Segment},
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What an answer says, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Said {
    /// A class: the best one.
    Class(String),
    /// A score for each class.
    Scores(Vec<(String, f32)>),
    /// Numbers that mean something each.
    Numbers(Vec<f32>),
    /// Numbers that mean a direction, such as an embedding.
    Vector(Vec<f32>),
    /// What was found in an image.
    Boxes(Vec<Detection>),
    /// Stretches of audio.
    Segments(Vec<Segment>),
}

impl Said {
    /// What a value of the pipeline says.
    ///
    /// # Errors
    /// A sentence: this kind of answer isn't compared.
    pub fn of(value: Value) -> Result<Self, String> {
        Ok(match value {
            Value::Class(class) => Self::Class(class.label),
            Value::Label { label } => Self::Class(label),
            Value::Classes(classes) => {
                Self::Class(classes.into_iter().next().map(|best| best.label).unwrap_or_default())
            }
            Value::Scores(scores) => Self::Scores(scores.0),
            Value::Number { value, .. } => Self::Numbers(vec![value]),
            Value::Series(series) => Self::Numbers(series.scores),
            Value::Vector(numbers) => Self::Vector(numbers),
            Value::List(_) => return Err("it holds several items: give one item for each input".to_owned()),
            Value::Boxes(found) => Self::Boxes(found),
            Value::Segments(stretches) => Self::Segments(stretches),
            Value::Text(text) => Self::Class(text.text),
            Value::Detection(_) | Value::Regions(_) | Value::Region(_) | Value::Object(_) => {
                return Err("it is an answer of several models, and variants are of one".to_owned());
            }
        })
    }

    /// A label, as an answer of this kind would say it.
    ///
    /// # Errors
    /// A sentence: a label that no such answer can be held to.
    pub fn expected(&self, label: &Json) -> Result<Self, String> {
        let numbers = |list: &[Json]| list.iter().map(number).collect::<Option<Vec<f32>>>();
        let said = match (self, label) {
            (Self::Class(_) | Self::Scores(_), Json::String(class)) => Some(Self::Class(class.clone())),
            (Self::Class(_) | Self::Vector(_), Json::Number(class)) => Some(Self::Class(class.to_string())),
            (Self::Scores(own), Json::Object(scores)) => {
                let score = |(name, _): &(String, f32)| Some((name.clone(), number(scores.get(name)?)?));
                own.iter().map(score).collect::<Option<Vec<_>>>().map(Self::Scores)
            }
            (Self::Numbers(_), value @ Json::Number(_)) => number(value).map(|value| Self::Numbers(vec![value])),
            (Self::Numbers(_), Json::Array(list)) => numbers(list).map(Self::Numbers),
            (Self::Vector(_), Json::Array(list)) => numbers(list).map(Self::Vector),
            (Self::Boxes(_), list) => Vec::deserialize(list).ok().map(Self::Boxes),
            (Self::Segments(_), list) => Vec::deserialize(list).ok().map(Self::Segments),
            _ => None,
        };
        said.ok_or_else(|| {
            let takes = match self {
                Self::Class(_) => "the name of a class",
                Self::Scores(_) => "the name of a class, or an object with a score for each class",
                Self::Numbers(_) => "a number, or a list of numbers",
                Self::Vector(_) => "a list of numbers, or the number of a class",
                Self::Boxes(_) => r#"a list of {"label": ..., "box": [left, top, right, bottom]}"#,
                Self::Segments(_) => r#"a list of {"start": ..., "end": ...}"#,
            };
            format!("the service's answers are held to {takes}, not to {label}")
        })
    }

    /// Whether it can be compared at all.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.numbers().iter().all(|number| number.is_finite())
    }

    /// The best class: of a vector its number.
    #[must_use]
    pub fn class(&self) -> Option<String> {
        let best = |scores: &mut dyn Iterator<Item = f32>| {
            let mut scores = scores.enumerate();
            let first = scores.next()?;
            // The first of equals, as the server's argmax has it.
            Some(scores.fold(first, |best, next| if next.1 > best.1 { next } else { best }).0)
        };
        match self {
            Self::Class(class) => Some(class.clone()),
            Self::Scores(scores) => best(&mut scores.iter().map(|(_, score)| *score)).map(|at| scores[at].0.clone()),
            Self::Vector(numbers) => best(&mut numbers.iter().copied()).map(|at| at.to_string()),
            Self::Numbers(_) | Self::Boxes(_) | Self::Segments(_) => None,
        }
    }

    /// The numbers of scores, numbers or a vector.
    #[must_use]
    pub fn numbers(&self) -> Vec<f64> {
        match self {
            Self::Class(_) | Self::Boxes(_) | Self::Segments(_) => Vec::new(),
            Self::Scores(scores) => scores.iter().map(|(_, score)| f64::from(*score)).collect(),
            Self::Numbers(numbers) | Self::Vector(numbers) => numbers.iter().copied().map(f64::from).collect(),
        }
    }
}

fn number(json: &Json) -> Option<f32> {
    // Labels are compared with 32-bit floats.
    #[allow(clippy::cast_possible_truncation)]
    json.as_f64().map(|number| number as f32)
}
