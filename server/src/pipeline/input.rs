//! Input steps: a raw input to tensors. Which step begins decides what the input is.

use super::{
    Prepared, Raw, Target, audio::AudioStep, bytes, image::ImageSteps, output::Start, records::RecordsInput,
    text::TextInput,
};
use crate::error::Error;
use millrace_crds::{DecodeImage, PreprocessStep};

/// Steps that fit the model.
pub enum Input {
    /// Windows of bytes.
    Bytes(bytes::BytesStep),
    /// An image.
    Image(ImageSteps),
    /// Audio.
    Audio(AudioStep),
    /// Texts to tokens.
    Text(Box<TextInput>),
    /// Tables.
    Records(RecordsInput),
}

impl Input {
    /// Checks steps in order: the first reads the raw input, the last makes what the model takes. `None`: no steps.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn compile(steps: &[PreprocessStep], target: &Target<'_>) -> Result<Option<Self>, String> {
        let Some((first, rest)) = steps.split_first() else { return Ok(None) };
        let input = match first {
            PreprocessStep::Bytes(spec) => {
                alone("bytes", rest)?;
                Self::Bytes(bytes::BytesStep::compile(spec, target.signature)?)
            }
            PreprocessStep::Tokenize(spec) => {
                alone("tokenize", rest)?;
                Self::Text(Box::new(TextInput::compile(spec, target)?))
            }
            PreprocessStep::Records(spec) => {
                alone("records", rest)?;
                Self::Records(RecordsInput::compile(spec, target)?)
            }
            PreprocessStep::DecodeImage(spec) => Self::Image(ImageSteps::compile(spec, rest, target)?),
            PreprocessStep::Audio(spec) => {
                alone("audio", rest)?;
                Self::Audio(AudioStep::compile(spec, target)?)
            }
            PreprocessStep::Resize(_)
            | PreprocessStep::CentreCrop(_)
            | PreprocessStep::Normalize(_)
            | PreprocessStep::Pad(_) => {
                return Err(format!("preprocess: {} takes an image; decodeImage comes before it", name(first)));
            }
        };
        Ok(Some(input))
    }

    /// Checks steps that begin with an image which `decode` made.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn compile_after(decode: &DecodeImage, steps: &[PreprocessStep], target: &Target<'_>) -> Result<Self, String> {
        ImageSteps::compile(decode, steps, target).map(Self::Image)
    }

    /// A raw input to what the model is run on.
    ///
    /// # Errors
    /// An input that the steps can't process.
    pub fn prepare(&self, raw: &Raw) -> Result<Prepared, Error> {
        match self {
            Self::Bytes(step) => Ok(step.prepare(&raw.body)),
            Self::Text(text) => text.prepare(raw).map(Prepared::Runs),
            Self::Records(records) => records.prepare(&raw.body).map(Prepared::Runs),
            Self::Image(steps) => steps.prepare(&raw.body),
            Self::Audio(step) => step.prepare(&raw.body),
        }
    }

    /// Sizes that the model's free dimensions get, rising.
    #[must_use]
    pub fn lengths(&self) -> &[usize] {
        match self {
            Self::Text(text) => text.step.buckets(),
            _ => &[],
        }
    }

    /// What output steps begin with.
    #[must_use]
    pub fn start(&self) -> Start {
        match self {
            Self::Audio(step) if step.is_sequence() => Start { series: true, carried: step.carried() },
            _ => Start::default(),
        }
    }
}

/// A step that makes the tensors is the last one.
fn alone(step: &str, rest: &[PreprocessStep]) -> Result<(), String> {
    match rest.first() {
        None => Ok(()),
        Some(next) => Err(format!("preprocess: {step} makes the tensors, and {} can't follow it", name(next))),
    }
}

/// A step's key in the manifest.
pub fn name(step: &PreprocessStep) -> &'static str {
    match step {
        PreprocessStep::Bytes(_) => "bytes",
        PreprocessStep::DecodeImage(_) => "decodeImage",
        PreprocessStep::Resize(_) => "resize",
        PreprocessStep::CentreCrop(_) => "centreCrop",
        PreprocessStep::Normalize(_) => "normalize",
        PreprocessStep::Pad(_) => "pad",
        PreprocessStep::Tokenize(_) => "tokenize",
        PreprocessStep::Records(_) => "records",
        PreprocessStep::Audio(_) => "audio",
    }
}
