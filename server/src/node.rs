//! What a machine has for engines, and what a manifest asks of them for each of its models.

use crate::{
    engine::ort::{
        OrtOptions, load_library,
        provide::{Order, Provided, provide},
    },
    error::StartError,
    model::{Fetched, files::Files},
    pipeline::{Pipeline, Target},
    protocol::tensor::Signature,
};
use millrace_crds::{ExecutionProvider, NamedModel, conditions::reason, manifest::Manifest};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// Lengths of a pipeline for which CUDA graphs are recorded.
const GRAPHS: usize = 8;
/// Most bytes of built engines, where the manifest doesn't say.
const ENGINES: u64 = 10 << 30;

/// What a machine has for engines.
pub struct Node {
    /// ONNX Runtime.
    pub library: PathBuf,
    /// Folder for built engines.
    pub engines: Option<PathBuf>,
}

impl Node {
    /// The engines of one model.
    ///
    /// # Errors
    /// The providers can't be had, or the model can't be loaded.
    pub fn engines(&self, model: Asked<'_>, fetched: &Arc<Fetched>) -> Result<Provided, StartError> {
        let environment = load_library(&self.library)?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let order = model.order(cores, self.engines.clone());
        provide(environment, fetched, &order, |signature| model.lengths(signature, &fetched.files))
    }
}

/// A model of a manifest: the only one, or one of a graph.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    manifest: &'a Manifest,
    named: Option<&'a NamedModel>,
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl<'a> Asked<'a> {
    /// The only one.
    #[must_use]
    pub fn alone(manifest: &'a Manifest) -> Self {
        Self { manifest, named: None }
    }

    /// One of several.
    #[must_use]
    pub fn of(manifest: &'a Manifest, model: &'a NamedModel) -> Self {
        Self { manifest, named: Some(model) }
    }

    /// Rows in a batch at most, of a model that takes any number.
    fn most_rows(&self) -> usize {
        let own = self.named.and_then(|model| model.max_batch_size).map_or(usize::MAX, size);
        size(self.manifest.spec.batching.max_size).min(own)
    }

    /// Rows that one run takes at most.
    #[must_use]
    pub fn max_rows(&self, signature: &Signature) -> usize {
        if signature.batches() { self.most_rows() } else { 1 }
    }

    /// Batch sizes that engines are prepared for, rising; a batch beyond them isn't padded.
    #[must_use]
    pub fn buckets(&self, max_rows: usize) -> Vec<usize> {
        let asked = self.manifest.spec.batching.buckets.iter().map(|&bucket| size(bucket));
        rising(asked.filter(|&bucket| bucket <= max_rows).collect())
    }

    /// Whether each length that inputs are padded to costs an engine or a graph: not where all runs on the processor.
    #[must_use]
    pub fn few_lengths(&self) -> bool {
        self.manifest.spec.runtime.execution_providers.iter().any(|provider| *provider != ExecutionProvider::CPU)
    }

    /// Lengths that its free dimensions are padded to, rising: those of its own steps. Regions of images are as large as they are.
    ///
    /// # Errors
    /// `PipelineMismatch`: its steps don't fit it.
    pub fn lengths(&self, signature: &Signature, files: &Files) -> Result<Vec<usize>, StartError> {
        let (max_rows, metadata) = (self.max_rows(signature), BTreeMap::new());
        let target = Target { signature, max_rows, few_lengths: self.few_lengths(), files, metadata: &metadata };
        let pipeline = &self.manifest.spec.pipeline;
        let own = |model: &NamedModel| {
            let infer =
                pipeline.steps.iter().filter(|step| step.from.is_empty()).filter_map(|step| step.infer.as_ref());
            infer.filter(|infer| infer.model == model.name).map(|infer| &infer.preprocess[..]).collect()
        };
        let steps: Vec<_> = self.named.map_or_else(|| vec![&pipeline.preprocess[..]], own);
        let lengths = steps.into_iter().map(|preprocess| Pipeline::lengths_of(preprocess, &target));
        let lengths: Result<Vec<Vec<usize>>, String> = lengths.collect();
        Ok(rising(lengths.map_err(|message| StartError::new(reason::PIPELINE_MISMATCH, message))?.concat()))
    }

    /// What is asked of engines, on a machine with so many cores.
    fn order(&self, cores: usize, cache: Option<PathBuf>) -> Order {
        let runtime = &self.manifest.spec.runtime;
        let instances = size(runtime.instances).max(1);
        let asked = runtime.resources.cpu.as_ref().and_then(millrace_crds::Quantity::to_f64);
        // A fraction of a core is one thread; more threads than the container's share of cores only take turns.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let share = asked.map_or(cores, |cpu| (cpu.ceil() as usize).clamp(1, cores));
        let threads = runtime.intra_op_threads.map_or((share / instances).max(1), size);
        let (max_rows, limit) = (self.most_rows(), runtime.engine_cache.as_ref());
        let buckets = self.buckets(max_rows);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let cache_limit = limit.and_then(|cache| cache.size_limit.to_f64()).map_or(ENGINES, |bytes| bytes as u64);
        let options = OrtOptions {
            precision: runtime.precision,
            // As many as there are shapes that batches are padded to, the pipeline's lengths among them.
            graphs: buckets.len() * GRAPHS,
            ..OrtOptions::new(runtime.execution_providers.clone(), threads)
        };
        Order { options, instances, buckets, max_rows, cache, cache_limit }
    }
}

/// Each once, rising.
#[must_use]
pub fn rising(mut sizes: Vec<usize>) -> Vec<usize> {
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
