//! The models, and what is sent to them: seeded, so that every server gets the same.

use crate::{
    bare::{Bare, Outlet},
    raw,
    tensor::{Tensor, Values},
};
use anyhow::{Result, bail};
use bytes::Bytes;
use ort::value::TensorElementType;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Tokens of a text, and of a long one.
const TOKENS: [i64; 2] = [32, 512];

/// A model of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Model {
    /// Gradient-boosted trees, five numbers in: next to nothing to compute, so that the cost of a request shows.
    Tiny,
    /// A sentence encoder with 8-bit weights, on texts of 32 tokens.
    Text,
    /// The same from raw texts to vectors: tokens, mean and norm are the server's.
    RawText,
    /// The same on texts as long as it takes, of 512 tokens.
    LongText,
    /// An image classifier, 150,528 numbers in.
    Image,
    /// The same from JPEG files to scores: decoding and resizing are the server's.
    RawImage,
}

impl Model {
    /// The name that servers know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Text => "text",
            Self::RawText => "rawtext",
            Self::LongText => "longtext",
            Self::Image => "image",
            Self::RawImage => "rawimage",
        }
    }

    /// Its file below the folder of models.
    pub fn file(self) -> &'static str {
        match self {
            Self::Tiny => "fraud/matrix.onnx",
            Self::Text | Self::RawText | Self::LongText => "minilm/model.onnx",
            Self::Image | Self::RawImage => "nsfw/open-nsfw.onnx",
        }
    }

    /// Whether its bodies are raw inputs to a pipeline.
    pub fn is_raw(self) -> bool {
        matches!(self, Self::RawText | Self::RawImage)
    }

    fn tokens(self) -> i64 {
        TOKENS[usize::from(self == Self::LongText)]
    }

    /// Different bodies: images are few, for each has its place in memory, in several forms.
    pub fn bodies(self) -> usize {
        match self {
            Self::Tiny | Self::Text | Self::RawText => 1_000,
            Self::Image | Self::RawImage | Self::LongText => 32,
        }
    }

    /// How far an answer may be from the bare engine's on the body alone. Weights of 8 bits are scaled by what else is in
    /// the batch: answers differ from batch to batch, whoever serves.
    pub fn tolerance(self) -> f64 {
        match self {
            Self::Tiny => 1e-5,
            Self::Text | Self::RawText | Self::LongText => 0.2,
            Self::Image => 1e-3,
            // Two decoders of JPEG differ by a shade.
            Self::RawImage => 2e-2,
        }
    }
}

/// A body, and the outputs that it must be answered by.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// Input tensors.
    pub inputs: Vec<Tensor>,
    /// A raw input, in their place.
    pub raw: Bytes,
    /// What the bare engine says, or for a raw input the reference in Python.
    pub expected: Vec<Tensor>,
}

/// A model with its bodies.
pub struct Case {
    /// Which.
    pub model: Model,
    /// Its file.
    pub path: PathBuf,
    /// What is sent.
    pub bodies: Vec<Body>,
}

impl Case {
    /// Makes the bodies and runs each on the bare engine, raw ones by `reference`.
    pub fn make(model: Model, models: &Path, library: &Path, reference: &mut Command) -> Result<Self> {
        let path = models.join(model.file());
        if model.is_raw() {
            return Ok(Self { model, path, bodies: raw::bodies(model, reference)? });
        }
        let mut bare = Bare::load(library, &path, 1)?;
        let mut random = StdRng::seed_from_u64(7);
        let outlets = bare.inputs().to_vec();
        let mut bodies = Vec::with_capacity(model.bodies());
        for _ in 0..model.bodies() {
            let inputs: Vec<Tensor> =
                outlets.iter().map(|outlet| input(outlet, model.tokens(), &mut random)).collect::<Result<_>>()?;
            let expected = bare.run(&inputs)?;
            bodies.push(Body { inputs, expected, ..Body::default() });
        }
        Ok(Self { model, path, bodies })
    }
}

/// One row for each input.
pub fn row(outlets: &[Outlet]) -> Result<Vec<Tensor>> {
    let mut random = StdRng::seed_from_u64(7);
    outlets.iter().map(|outlet| input(outlet, TOKENS[0], &mut random)).collect()
}

/// One row for an input.
fn input(outlet: &Outlet, tokens: i64, random: &mut StdRng) -> Result<Tensor> {
    let free = |(at, &dim): (usize, &i64)| {
        if dim >= 0 {
            dim
        } else if at == 0 {
            1
        } else {
            tokens
        }
    };
    let shape: Vec<i64> = outlet.shape.iter().enumerate().map(free).collect();
    let count = usize::try_from(shape.iter().product::<i64>())?;
    let values = match outlet.element {
        // As a pixel of 8 bits, scaled: what JSON holds in nine digits or fewer.
        TensorElementType::Float32 => {
            Values::Fp32((0..count).map(|_| f32::from(random.random_range(0..=255u8)) / 255.0).collect())
        }
        TensorElementType::Int64 if outlet.name.contains("mask") => Values::Int64(vec![1; count]),
        TensorElementType::Int64 if outlet.name.contains("type") => Values::Int64(vec![0; count]),
        TensorElementType::Int64 => Values::Int64((0..count).map(|_| random.random_range(1_000..29_000)).collect()),
        other => bail!("input {} is of the type {other:?}", outlet.name),
    };
    Ok(Tensor { name: outlet.name.clone(), shape, values })
}
