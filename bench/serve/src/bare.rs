//! ONNX Runtime and nothing else: what every server's engine costs at least, and where expected answers come from.

use crate::tensor::{Tensor, Values};
use anyhow::{Context, Result, bail};
use millrace_server::engine::ort::load_library;
use ort::{
    ep,
    session::{Session, SessionInputValue},
    value::{TensorElementType, TensorRef},
};
use std::{borrow::Cow, path::Path};

/// A tensor as the model describes it.
#[derive(Clone, Debug)]
pub struct Outlet {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub element: TensorElementType,
    /// Its dimensions; -1: any.
    pub shape: Vec<i64>,
}

/// A session.
pub struct Bare {
    session: Session,
    inputs: Vec<Outlet>,
    outputs: Vec<Outlet>,
}

impl Bare {
    /// Loads a model, with the settings that the server uses on a CPU.
    pub fn load(library: &Path, model: &Path, threads: usize) -> Result<Self> {
        let environment = load_library(library)?;
        let builder = Session::builder(environment).map_err(text)?;
        let builder = builder.with_intra_threads(threads).map_err(text)?;
        let builder = builder.with_inter_threads(1).map_err(text)?;
        let builder = builder.with_intra_op_spinning(false).map_err(text)?;
        let builder = builder.with_memory_pattern(false).map_err(text)?;
        let cpu = ep::CPU::default().with_arena_allocator(false).build().error_on_failure();
        let mut builder = builder.with_execution_providers([cpu]).map_err(text)?;
        let session = builder.commit_from_file(model).map_err(text)?;
        let (inputs, outputs) = (outlets(session.inputs())?, outlets(session.outputs())?);
        Ok(Self { session, inputs, outputs })
    }

    /// The model's inputs.
    pub fn inputs(&self) -> &[Outlet] {
        &self.inputs
    }

    /// The model's outputs.
    pub fn outputs(&self) -> &[Outlet] {
        &self.outputs
    }

    /// One run.
    pub fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut values = Vec::with_capacity(inputs.len());
        for tensor in inputs {
            let shape = tensor.shape.clone();
            let value = match &tensor.values {
                Values::Fp32(v) => TensorRef::from_array_view((shape, v.as_slice())).map(SessionInputValue::from),
                Values::Int64(v) => TensorRef::from_array_view((shape, v.as_slice())).map(SessionInputValue::from),
            };
            values.push((Cow::Borrowed(tensor.name.as_str()), value.map_err(text)?));
        }
        let outputs = self.session.run(values).map_err(text)?;
        let one = |outlet: &Outlet| {
            let value = outputs.get(&outlet.name).with_context(|| format!("no output {}", outlet.name))?;
            let (shape, values) = match outlet.element {
                TensorElementType::Float32 => {
                    let (shape, values) = value.try_extract_tensor::<f32>().map_err(text)?;
                    (shape.to_vec(), Values::Fp32(values.to_vec()))
                }
                TensorElementType::Int64 => {
                    let (shape, values) = value.try_extract_tensor::<i64>().map_err(text)?;
                    (shape.to_vec(), Values::Int64(values.to_vec()))
                }
                other => bail!("output {} is of the type {other:?}", outlet.name),
            };
            Ok(Tensor { name: outlet.name.clone(), shape, values })
        };
        self.outputs.iter().map(one).collect()
    }
}

fn text(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

fn outlets(outlets: &[ort::value::Outlet]) -> Result<Vec<Outlet>> {
    outlets
        .iter()
        .map(|outlet| {
            let element = outlet.dtype().tensor_type().context("an outlet that is no tensor")?;
            let shape = outlet.dtype().tensor_shape().context("a tensor without a shape")?.to_vec();
            Ok(Outlet { name: outlet.name().to_owned(), element, shape })
        })
        .collect()
}
