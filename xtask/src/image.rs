//! `cargo xtask image`

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use millrace_testbed::image::{self, Profile, Runtime, Transport};
use millrace_testbed::{Cache, Steps, tools};

#[derive(Debug, Args)]
pub struct Options {
    /// Push the image there, for example registry.example.com/team/millrace
    #[arg(long, value_name = "HOST/NAME")]
    push: Option<String>,
    /// The image's tag, by default the commit
    #[arg(long)]
    tag: Option<String>,
    /// How the programs are compiled
    #[arg(long, value_enum, default_value = "release")]
    profile: Compiled,
    /// For GPUs: with ONNX Runtime's CUDA and TensorRT providers and NVIDIA's libraries
    #[arg(long)]
    gpu: bool,
    /// Folder with TensorRT's libraries (version 10 for CUDA 13) of NVIDIA's archive: no package index has all of them
    #[arg(long, value_name = "FOLDER", requires = "gpu")]
    tensorrt: Option<PathBuf>,
    /// The registry speaks plain HTTP; one on a loopback address is taken to do so
    #[arg(long)]
    plain_http: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Compiled {
    /// As the test cluster has it: optimised, and quick to build
    Image,
    /// As it was measured: smaller and faster, and slow to build
    Release,
    /// Not optimised
    Dev,
}

pub fn run(options: &Options) -> Result<()> {
    let cache = Cache::open()?;
    let mut steps = Steps::new(4);
    steps.ensure("Debian packages", tools::debian_packages)?;
    let ort = tools::ensure_ort(&cache, &mut steps)?;
    let profile = match options.profile {
        Compiled::Image => Profile::Image,
        Compiled::Release => Profile::Release,
        Compiled::Dev => Profile::Dev,
    };
    let gpu = if options.gpu {
        steps.add(1);
        Some(tools::ensure_gpu(&cache, &mut steps)?)
    } else {
        None
    };
    let runtime = match &gpu {
        Some(libraries) => Runtime::Gpu(libraries, options.tensorrt.as_deref()),
        None => Runtime::Processor(&ort.library),
    };
    steps.show("image", || image::build(&cache, profile, runtime))?;
    let Some(repository) = &options.push else {
        eprintln!("built; push it with `cargo xtask image --push HOST/NAME`");
        return Ok(());
    };
    let tag = options.tag.clone().unwrap_or_else(image::tag);
    let transport = if options.plain_http { Transport::PlainHttp } else { Transport::of(repository) };
    steps.add(1);
    let reference = steps.run("push", || image::push(&cache, repository, &tag, transport))?;
    println!("{reference}");
    Ok(())
}
