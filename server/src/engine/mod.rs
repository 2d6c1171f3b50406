//! What runs a model: the trait, ONNX Runtime behind it, and a fake for tests.

pub mod better;
pub mod fake;
pub mod ort;
pub mod replaceable;

use crate::protocol::tensor::{Signature, Tensor};
use replaceable::Spare;
use std::collections::BTreeMap;

/// Why a run gave no answer. Its text goes to the log only.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine failed.
    #[error("{0}")]
    Failed(String),
    /// The engine is well: the model can't be run on these tensors, such as a token that it doesn't have.
    #[error("{0}")]
    Unfit(String),
}

/// What runs a model. It is owned by one thread at a time: execution providers aren't all thread-safe.
pub trait Engine: Send {
    /// Inputs and outputs.
    fn signature(&self) -> &Signature;

    /// What the model says of itself beside that, by key.
    fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Runs a batch. Most models answer once; one that makes its output piece by piece calls `answer` for each piece.
    ///
    /// # Errors
    /// Whatever the engine says.
    fn run(&mut self, inputs: &[Tensor], answer: &mut dyn FnMut(Vec<Tensor>)) -> Result<(), EngineError>;

    /// Another engine on the same copy of the weights, for another thread; `None`: each thread needs its own.
    fn share(&self) -> Option<Box<dyn Engine>> {
        None
    }

    /// Looks at itself after a run that failed, and puts itself right if it can; whether it takes batches.
    fn mend(&mut self) -> bool {
        true
    }

    /// Whether it can run a batch at once, without a look at itself.
    fn is_sound(&self) -> bool {
        true
    }

    /// How to make another, should this one hang; `None`: there is no other.
    fn spare(&self) -> Option<Spare> {
        None
    }
}
