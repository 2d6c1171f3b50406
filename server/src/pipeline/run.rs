//! What a raw input became: an answer at once, or runs of the model.

use super::{Value, audio::Sequence, image::Geometry};
use crate::protocol::tensor::Tensor;
use bytes::Bytes;
use std::{ops::Range, time::Instant};

/// A raw input as it came.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// The body, decoded.
    pub body: Bytes,
    /// Whether its content type is JSON.
    pub json: bool,
    /// When its answer is of no use any more: long work looks at it now and then.
    pub deadline: Option<Instant>,
}

impl<B: Into<Bytes>> From<B> for Raw {
    fn from(body: B) -> Self {
        Self { body: body.into(), ..Self::default() }
    }
}

/// What the input steps made.
#[derive(Debug)]
pub enum Prepared {
    /// An answer that needs no model.
    Answer(Value),
    /// Runs that don't depend on each other.
    Runs(Runs),
    /// Runs that do.
    Sequence(Sequence),
}

/// Runs of the model for one request.
#[derive(Debug)]
pub struct Runs {
    /// Each is one run.
    pub batches: Vec<Batch>,
    /// The request held one item, and is answered by one value rather than a list.
    pub single: bool,
}

/// Tensors of one run, and what each of their rows is.
#[derive(Debug)]
pub struct Batch {
    /// Tensors of all rows.
    pub inputs: Vec<Tensor>,
    /// Its rows, in order.
    pub rows: Vec<Row>,
}

/// A row of a run.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which item of the request it is.
    pub at: usize,
    /// What output steps need to know of its input.
    pub note: Note,
}

/// What an input step tells the output steps.
#[derive(Clone, Debug, Default)]
pub enum Note {
    /// Nothing.
    #[default]
    None,
    /// How the image that was sent became the model's.
    Image(Geometry),
    /// Where the tokens of a text are; the rest is padding.
    Tokens(Range<usize>),
}

impl Runs {
    /// One run of one row.
    #[must_use]
    pub fn one(inputs: Vec<Tensor>, note: Note) -> Self {
        Self { batches: vec![Batch { inputs, rows: vec![Row { at: 0, note }] }], single: true }
    }

    /// Values of all rows to the answer, in the request's order.
    #[must_use]
    pub fn gather(single: bool, mut values: Vec<(usize, Value)>) -> Value {
        values.sort_by_key(|(at, _)| *at);
        let mut values = values.into_iter().map(|(_, value)| value);
        match values.next() {
            Some(value) if single => value,
            first => Value::List(first.into_iter().chain(values).collect()),
        }
    }
}
