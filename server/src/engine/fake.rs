//! An engine without a model: adds one to each number, as often as it is told. For tests of all that is around an engine.

use super::{Engine, EngineError};
use crate::protocol::{
    data::{Data, Datatype},
    tensor::{Signature, Tensor, TensorSpec},
};
use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

/// Holds runs back until a test lets them go, and counts their rows.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Default)]
struct GateState {
    closed: bool,
    /// Closed after the first answer of a run.
    between: bool,
    batches: Vec<usize>,
}

impl Gate {
    /// Runs wait from now on.
    pub fn close(&self) {
        self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).closed = true;
    }

    /// Runs wait after their first answer from now on.
    pub fn close_between(&self) {
        self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).between = true;
    }

    /// Runs go on.
    pub fn open(&self) {
        let mut state = self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (state.closed, state.between) = (false, false);
        self.0.1.notify_all();
    }

    /// Rows of every run that began.
    #[must_use]
    pub fn batches(&self) -> Vec<usize> {
        self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).batches.clone()
    }

    fn pass(&self, rows: usize) {
        let mut state = self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.batches.push(rows);
        let _open = self.0.1.wait_while(state, |state| state.closed);
    }

    fn pass_between(&self) {
        let state = self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _open = self.0.1.wait_while(state, |state| state.between);
    }
}

/// What the first element of a batch can tell the fake to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Refuse the tensors of this batch.
    Refuse,
    /// Fail this batch.
    Fail,
    /// Panic.
    Panic,
    /// Fail this batch and every other, as after a fault of a device or without memory.
    Break,
}

impl Told {
    /// The element that says so.
    #[must_use]
    pub fn value(self) -> f32 {
        match self {
            Self::Refuse => -500.0,
            Self::Fail => -1000.0,
            Self::Panic => -2000.0,
            Self::Break => -3000.0,
        }
    }
}

/// Input `x` and output `y`, FP32 of one shape, `[-1, 2]` unless it is told another; a first element of [`Told`] makes it fail.
pub struct FakeEngine {
    signature: Signature,
    answers: usize,
    gate: Gate,
    takes: Duration,
    broken: bool,
}

impl FakeEngine {
    /// An engine that answers each request so many times.
    #[must_use]
    pub fn new(answers: usize, gate: Gate) -> Self {
        let spec = |name: &str| TensorSpec { name: name.to_owned(), datatype: Datatype::Fp32, shape: vec![-1, 2] };
        Self {
            signature: Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] },
            answers,
            gate,
            takes: Duration::ZERO,
            broken: false,
        }
    }

    /// Gives input and output another shape.
    #[must_use]
    pub fn shaped(mut self, shape: &[i64]) -> Self {
        let tensors = self.signature.inputs.iter_mut().chain(&mut self.signature.outputs);
        tensors.for_each(|spec| spec.shape = shape.to_vec());
        self
    }

    /// Makes each run take so long.
    #[must_use]
    pub fn taking(self, takes: Duration) -> Self {
        Self { takes, ..self }
    }
}

impl Engine for FakeEngine {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&mut self, inputs: &[Tensor], answer: &mut dyn FnMut(Vec<Tensor>)) -> Result<(), EngineError> {
        let [Tensor { shape, data: Data::Fp32(values), .. }] = inputs else {
            return Err(EngineError::Failed("the fake takes one FP32 tensor".to_owned()));
        };
        self.gate.pass(shape[0]);
        std::thread::sleep(self.takes);
        let told = |what: Told| values.first() == Some(&what.value());
        assert!(!told(Told::Panic), "the fake was told to panic");
        // Wherever it is: the tensors of a batch are those of several callers.
        if values.contains(&Told::Refuse.value()) {
            return Err(EngineError::Unfit("the fake refuses it at /secret/path".to_owned()));
        }
        self.broken |= told(Told::Break);
        if self.broken || told(Told::Fail) {
            return Err(EngineError::Failed("the fake was told to fail at /secret/path".to_owned()));
        }
        let mut values = values.clone();
        for answered in 0..self.answers {
            if answered > 0 {
                self.gate.pass_between();
            }
            values.iter_mut().for_each(|value| *value += 1.0);
            answer(vec![Tensor { name: "y".to_owned(), shape: shape.clone(), data: Data::Fp32(values.clone()) }]);
        }
        Ok(())
    }
}
