//! How a session is set up for the providers of a manifest.

use super::{OrtOptions, tensorrt::TensorRt};
use millrace_crds::{ExecutionProvider, Precision};
use ort::{
    environment::Environment,
    ep::{self, ExecutionProviderDispatch},
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
};

/// A builder with the providers of the options, each of which must be had.
///
/// # Errors
/// One of them can't be had here.
pub fn builder(environment: &Environment, options: &OrtOptions) -> Result<SessionBuilder, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let builder = Session::builder(environment).map_err(|e| text(&e))?;
    // No spinning: replicas share cores. No memory pattern and no arena on the CPU: an arena grows to the largest batch
    // that ever came and never shrinks.
    let builder = builder.with_intra_threads(options.threads).map_err(|e| text(&e))?;
    let builder = builder.with_inter_threads(1).map_err(|e| text(&e))?;
    let builder = builder.with_intra_op_spinning(false).map_err(|e| text(&e))?;
    let builder = builder.with_memory_pattern(!options.cpu_only()).map_err(|e| text(&e))?;
    let providers: Vec<_> = options.providers.iter().map(|provider| dispatch(*provider, options)).collect();
    builder.with_execution_providers(providers).map_err(|error| {
        format!(
            "the execution providers {:?} can't be had on this node: {error}; name another in runtime.executionProviders, or run where they are",
            options.providers
        )
    })
}

/// A builder for a session that is only asked what its inputs are: on the processor, as the file has it.
///
/// # Errors
/// What ONNX Runtime says.
pub fn probe(environment: &Environment) -> Result<SessionBuilder, String> {
    let builder = Session::builder(environment).map_err(|error| error.to_string())?;
    builder.with_optimization_level(GraphOptimizationLevel::Disable).map_err(|error| error.to_string())
}

fn dispatch(provider: ExecutionProvider, options: &OrtOptions) -> ExecutionProviderDispatch {
    match provider {
        ExecutionProvider::TensorRT => tensorrt(options.precision, options.tensorrt.as_ref()).error_on_failure(),
        ExecutionProvider::CUDA => {
            // A graph is recorded on buffers that stay where they are; the arena grows by what is asked for and no more.
            let cuda = ep::CUDA::default().with_cuda_graph(options.graphs > 0);
            cuda.with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested).build().error_on_failure()
        }
        ExecutionProvider::CPU => ep::CPU::default().with_arena_allocator(false).build().error_on_failure(),
    }
}

fn tensorrt(precision: Option<Precision>, prepared: Option<&TensorRt>) -> ExecutionProviderDispatch {
    let mut provider = ep::TensorRT::default()
        .with_fp16(precision == Some(Precision::FP16))
        .with_bf16(precision == Some(Precision::BF16))
        .with_int8(precision == Some(Precision::INT8));
    let Some(prepared) = prepared else { return provider.build() };
    if let Some(folder) = prepared.folder() {
        // Timings are good for other models too, but not for another GPU or TensorRT: they lie with the engine.
        provider = provider
            .with_engine_cache(true)
            .with_engine_cache_path(folder.display())
            .with_timing_cache(true)
            .with_timing_cache_path(folder.display());
    }
    if let Some(profiles) = &prepared.profiles {
        provider = provider
            .with_profile_min_shapes(&profiles.min)
            .with_profile_opt_shapes(&profiles.opt)
            .with_profile_max_shapes(&profiles.max);
    }
    provider.build()
}
