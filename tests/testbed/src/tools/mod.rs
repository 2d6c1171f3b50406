//! What the testbed is made of, built or installed into the cache: every step finds its own work done.

mod cargo_tool;
mod debian;
mod go;
mod go_mod;
mod gpu;
mod model;
mod models;
mod ort;
mod perf_analyzer;
mod python;
mod wheels;

use std::path::PathBuf;

use anyhow::Result;

use crate::{Cache, Steps};

pub use cargo_tool::{CARGO_ABOUT, CARGO_DENY, CargoTool};
pub use debian::ensure as debian_packages;
pub use gpu::GpuLibraries;
pub use model::magika;
pub use models::Models;
pub use ort::NOTICES as ORT_NOTICES;
pub use perf_analyzer::PerfAnalyzer;
pub use python::Python;

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Folder of `kube-apiserver`, `kubelet`, `kubectl` and so on.
    pub kubernetes: PathBuf,
    /// Folder of `etcd`.
    pub etcd: PathBuf,
    /// Folder of `kwok`.
    pub kwok: PathBuf,
    /// Folder of `containerd`, its shim and `ctr`.
    pub containerd: PathBuf,
    /// Folder of `helm`.
    pub helm: PathBuf,
    /// Folder of `registry`.
    pub registry: PathBuf,
    /// Folder of `coredns`.
    pub coredns: PathBuf,
    /// The program `s3s-fs`.
    pub s3: PathBuf,
    /// The library `libonnxruntime.so`.
    pub ort_library: PathBuf,
    /// The interpreter of the virtual environment with the clients.
    pub python: PathBuf,
}

/// How many steps [`ensure`] announces.
pub const STEPS: usize = 12;

/// Builds or installs what is missing.
///
/// # Errors
/// When a step fails; the message names the step, shows what the program said and says where its log is.
pub fn ensure(cache: &Cache, steps: &mut Steps) -> Result<Tools> {
    steps.ensure("Debian packages", debian::ensure)?;
    let mut module = |module: go::GoModule| -> Result<PathBuf> {
        let build = go::Build::of(module, cache)?;
        steps.ensure(&build.title(), || build.ensure(cache))?;
        Ok(build.folder)
    };
    let kubernetes = module(go::KUBERNETES)?;
    let etcd = module(go::ETCD)?;
    let containerd = module(go::CONTAINERD)?;
    let registry = module(go::REGISTRY)?;
    let coredns = module(go::COREDNS)?;
    let kwok = module(go::KWOK)?;
    let helm = module(go::HELM)?;
    let s3 = cargo_tool::S3S_FS;
    steps.ensure(&s3.title(), || s3.ensure(cache))?;
    let engine = ensure_ort(cache, steps)?;
    ensure_models(cache, steps)?;
    Ok(Tools {
        kubernetes,
        etcd,
        kwok,
        containerd,
        helm,
        registry,
        coredns,
        s3: s3.program(cache),
        ort_library: engine.library,
        python: engine.python,
    })
}

/// ONNX Runtime, and the Python environment whose wheel it comes from.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The shared library.
    pub library: PathBuf,
    /// The interpreter of the virtual environment with the clients.
    pub python: PathBuf,
}

/// Installs ONNX Runtime and the Python clients, in two steps: what tests need that need no cluster.
///
/// # Errors
/// When a step fails.
pub fn ensure_ort(cache: &Cache, steps: &mut Steps) -> Result<Engine> {
    let python = Python::of(cache)?;
    steps.ensure("Python clients", || python.ensure(cache))?;
    let ort = ort::Ort::of(cache)?;
    steps.ensure(&ort.title(), || ort.ensure(cache, &python))?;
    Ok(Engine { library: ort.library, python: python.interpreter() })
}

/// The libraries of the GPU image, in one step. The Python clients must be there: [`ensure_ort`] sees to it.
///
/// # Errors
/// When the step fails.
pub fn ensure_gpu(cache: &Cache, steps: &mut Steps) -> Result<GpuLibraries> {
    let libraries = GpuLibraries::of(cache)?;
    let python = Python::of(cache)?;
    steps.ensure("ONNX Runtime and NVIDIA's libraries for GPUs", || libraries.ensure(&python))?;
    Ok(libraries)
}

/// Fetches and trains the models that tests serve, in one step. The Python clients must be there: [`ensure_ort`] sees to it.
///
/// # Errors
/// When the step fails.
pub fn ensure_models(cache: &Cache, steps: &mut Steps) -> Result<Models> {
    let models = Models::of(cache)?;
    let python = Python::of(cache)?;
    steps.ensure("models", || models.ensure(cache, &python))?;
    Ok(models)
}

/// Fetches perf_analyzer, in one step. The Python clients must be there: [`ensure_ort`] sees to it.
///
/// # Errors
/// When the step fails: not every machine can have it.
pub fn ensure_perf_analyzer(cache: &Cache, steps: &mut Steps) -> Result<PerfAnalyzer> {
    let program = PerfAnalyzer::of(cache)?;
    let python = Python::of(cache)?;
    steps.ensure("perf_analyzer", || program.ensure(&python))?;
    Ok(program)
}
