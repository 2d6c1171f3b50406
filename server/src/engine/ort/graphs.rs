//! CUDA graphs: what a run launches on the GPU, recorded once for each shape and replayed as a whole.
//!
//! A graph works on buffers that stay where they are, so each shape has its own on the device. ONNX Runtime keeps graphs for
//! the thread that recorded them; another thread records anew by itself.

use super::{native::Memory, run};
use crate::{
    engine::EngineError,
    protocol::tensor::{Signature, Tensor},
};
use ort::{
    memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType},
    session::{IoBinding, RunOptions, Session},
    value::DynTensor,
};
use std::collections::HashMap;

/// The run option that names a graph; -1: this run is neither recorded nor replayed.
const GRAPH: &str = "gpu_graph_id";

/// The graphs of one session.
pub struct Graphs {
    /// By the shapes of the inputs.
    recorded: HashMap<Vec<Vec<usize>>, Graph>,
    limit: usize,
}

struct Graph {
    binding: IoBinding,
    options: RunOptions,
    inputs: Vec<DynTensor>,
    outputs: Vec<(DynTensor, Vec<usize>)>,
}

fn failed(error: ort::Error) -> EngineError {
    EngineError::Failed(error.to_string())
}

impl Graphs {
    /// For `limit` shapes at most; what has another shape is launched node by node.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { recorded: HashMap::new(), limit }
    }

    /// How many are recorded.
    #[must_use]
    pub fn len(&self) -> usize {
        self.recorded.len()
    }

    /// Runs a batch.
    ///
    /// # Errors
    /// What ONNX Runtime or CUDA says.
    pub fn run(
        &mut self,
        session: &mut Session,
        signature: &Signature,
        inputs: &[Tensor],
    ) -> Result<Vec<Tensor>, EngineError> {
        let shapes: Vec<Vec<usize>> = inputs.iter().map(|tensor| tensor.shape.clone()).collect();
        if let Some(graph) = self.recorded.get_mut(&shapes) {
            return graph.run(session, signature, inputs);
        }
        // The shapes of the outputs are known once the model has run.
        let outputs = run(session, signature, inputs, Some(&options("-1")?))?;
        if self.recorded.len() < self.limit {
            match self.record(session, signature, inputs, &outputs) {
                Ok(graph) => drop(self.recorded.insert(shapes, graph)),
                Err(error) => {
                    tracing::warn!(%error, "no CUDA graph for this shape, nor for others: they are launched node by node");
                    self.limit = 0;
                }
            }
        }
        Ok(outputs)
    }

    /// Records a graph for the shapes of these inputs, and replays it once.
    fn record(
        &self,
        session: &mut Session,
        signature: &Signature,
        inputs: &[Tensor],
        outputs: &[Tensor],
    ) -> Result<Graph, EngineError> {
        let mut graph = Graph::new(session, &self.recorded.len().to_string(), inputs, outputs)?;
        graph.run(session, signature, inputs)?;
        Ok(graph)
    }
}

fn options(graph: &str) -> Result<RunOptions, EngineError> {
    let mut options = RunOptions::new().map_err(failed)?;
    options.set(GRAPH, graph).map_err(failed)?;
    Ok(options)
}

impl Graph {
    fn new(session: &Session, name: &str, inputs: &[Tensor], outputs: &[Tensor]) -> Result<Self, EngineError> {
        let device = MemoryInfo::new(AllocationDevice::CUDA, 0, AllocatorType::Device, MemoryType::Default);
        let allocator = Allocator::new(session, device.map_err(failed)?).map_err(failed)?;
        let buffer = |tensor: &Tensor| {
            let element = super::values::element(tensor.data.datatype());
            DynTensor::new(&allocator, element, tensor.shape.clone()).map_err(failed)
        };
        let mut binding = session.create_binding().map_err(failed)?;
        let mut held = Vec::with_capacity(inputs.len());
        for tensor in inputs {
            let value = buffer(tensor)?;
            binding.bind_input(&tensor.name, &value).map_err(failed)?;
            held.push(value);
        }
        let mut results = Vec::with_capacity(outputs.len());
        for tensor in outputs {
            let mut value = buffer(tensor)?;
            binding.bind_output(&tensor.name, &mut value).map_err(failed)?;
            results.push((value, tensor.shape.clone()));
        }
        Ok(Self { binding, options: options(name)?, inputs: held, outputs: results })
    }

    fn run(
        &mut self,
        session: &mut Session,
        signature: &Signature,
        inputs: &[Tensor],
    ) -> Result<Vec<Tensor>, EngineError> {
        let memory = Memory::get()?;
        for (tensor, buffer) in inputs.iter().zip(&mut self.inputs) {
            memory.upload(&tensor.data, buffer.data_ptr_mut(), tensor.data.heap_bytes())?;
        }
        drop(session.run_binding_with_options(&self.binding, &self.options).map_err(failed)?);
        let output = |(spec, (buffer, shape)): (&crate::protocol::tensor::TensorSpec, &(DynTensor, Vec<usize>))| {
            let mut data = spec.datatype.empty();
            data.pad(shape.iter().product());
            let bytes = data.heap_bytes();
            memory.download(&mut data, buffer.data_ptr(), bytes)?;
            Ok(Tensor { name: spec.name.clone(), shape: shape.clone(), data })
        };
        signature.outputs.iter().zip(&self.outputs).map(output).collect()
    }
}
