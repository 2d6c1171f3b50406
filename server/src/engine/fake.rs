//! An engine without a model: adds one to each number, as often as it is told. For tests of all that is around an engine.

use super::{Engine, EngineError};
use crate::protocol::{
    data::{Data, Datatype},
    tensor::{Signature, Tensor, TensorSpec},
};
use std::sync::{Arc, Condvar, Mutex};

/// Holds runs back until a test lets them go, and counts their rows.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Default)]
struct GateState {
    closed: bool,
    batches: Vec<usize>,
}

impl Gate {
    /// Runs wait from now on.
    pub fn close(&self) {
        self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).closed = true;
    }

    /// Runs go on.
    pub fn open(&self) {
        self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).closed = false;
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
}

/// Input `x` and output `y`, FP32 `[-1, 2]`; a first element of -1000 makes it fail.
pub struct FakeEngine {
    signature: Signature,
    answers: usize,
    gate: Gate,
}

impl FakeEngine {
    /// An engine that answers each request so many times.
    #[must_use]
    pub fn new(answers: usize, gate: Gate) -> Self {
        let spec = |name: &str| TensorSpec { name: name.to_owned(), datatype: Datatype::Fp32, shape: vec![-1, 2] };
        Self { signature: Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] }, answers, gate }
    }
}

impl Engine for FakeEngine {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&mut self, inputs: &[Tensor], answer: &mut dyn FnMut(Vec<Tensor>)) -> Result<(), EngineError> {
        let [Tensor { shape, data: Data::Fp32(values), .. }] = inputs else {
            return Err(EngineError("the fake takes one FP32 tensor".to_owned()));
        };
        self.gate.pass(shape[0]);
        if values.first() == Some(&-1000.0) {
            return Err(EngineError("the fake was told to fail at /secret/path".to_owned()));
        }
        let mut values = values.clone();
        for _ in 0..self.answers {
            values.iter_mut().for_each(|value| *value += 1.0);
            answer(vec![Tensor { name: "y".to_owned(), shape: shape.clone(), data: Data::Fp32(values.clone()) }]);
        }
        Ok(())
    }
}
