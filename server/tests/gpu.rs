//! The engine on a GPU, where there is one: the same answers as on the processor, launched node by node and as CUDA graphs.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

use millrace_crds::{
    ExecutionProvider::{self, CPU, CUDA, TensorRT},
    report::EngineBuild,
};
use millrace_server::{
    engine::{
        Engine,
        ort::{
            OrtEngine, OrtOptions, load_library,
            provide::{Order, provide},
        },
    },
    gpu::Gpu,
    metrics::Metrics,
    model::Fetched,
    protocol::{
        data::Data,
        tensor::{Signature, Tensor},
    },
    warm_up,
};
use std::{path::PathBuf, sync::Arc, time::Instant};

/// Batch sizes that the tests run.
const BUCKETS: [usize; 3] = [1, 4, 16];
/// How far answers may lie apart: CUDA computes products of 32-bit floats with mantissas of 10 bits (TF32), as it does by default.
const TOLERANCE: f32 = 1e-3;
/// Length of free dimensions: Magika's are fixed.
const LENGTH: usize = 32;

/// GPU, ONNX Runtime with CUDA, and a model; or the reason why they aren't here.
fn real() -> Option<(Gpu, PathBuf, PathBuf)> {
    let Some(gpu) = Gpu::first() else {
        println!("not run: there is no NVIDIA driver with a GPU here");
        return None;
    };
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let Some((library, model)) = path("MILLRACE_ORT_LIBRARY").zip(path("MILLRACE_MAGIKA_MODEL")) else {
        println!("not run: MILLRACE_ORT_LIBRARY and MILLRACE_MAGIKA_MODEL name no ONNX Runtime with CUDA and model");
        return None;
    };
    println!("runs on {}", gpu.kind());
    Some((gpu, library, model))
}

fn engine(library: &std::path::Path, model: &std::path::Path, provider: ExecutionProvider, graphs: usize) -> OrtEngine {
    let options = OrtOptions { graphs, ..OrtOptions::new(vec![provider], 1) };
    OrtEngine::load(load_library(library).unwrap(), model, &options).unwrap()
}

/// Inputs that differ from row to row and from `turn` to `turn`, within what token ids of any model can be.
fn inputs(signature: &Signature, rows: usize, turn: usize) -> Vec<Tensor> {
    let tensor = |spec: &millrace_server::protocol::tensor::TensorSpec| {
        let size = |(at, &dim): (usize, &i64)| usize::try_from(dim).unwrap_or(if at == 0 { rows } else { LENGTH });
        let shape: Vec<usize> = spec.shape.iter().enumerate().map(size).collect();
        let numbers = (0..shape.iter().product::<usize>()).map(|at| (at * 7 + turn * 13) % 250);
        let mut data = spec.datatype.empty();
        match &mut data {
            Data::Int32(values) => values.extend(numbers.map(|number| i32::try_from(number).unwrap())),
            Data::Int64(values) => values.extend(numbers.map(|number| i64::try_from(number).unwrap())),
            Data::Fp32(values) => {
                values.extend(numbers.map(|number| f32::from(u16::try_from(number).unwrap()) / 250.0))
            }
            other => panic!("the test makes no {}", other.datatype().name()),
        }
        Tensor { name: spec.name.clone(), shape, data }
    };
    signature.inputs.iter().map(tensor).collect()
}

fn run(engine: &mut dyn Engine, inputs: &[Tensor]) -> Vec<Tensor> {
    let mut answers = Vec::new();
    engine.run(inputs, &mut |outputs| answers = outputs).unwrap();
    answers
}

/// The largest difference between two answers.
fn difference(one: &[Tensor], other: &[Tensor]) -> f32 {
    let floats = |tensor: &Tensor| match &tensor.data {
        Data::Fp32(values) => values.clone(),
        other => panic!("the model answers {}", other.datatype().name()),
    };
    assert_eq!(one.len(), other.len());
    let pairs = one.iter().zip(other).flat_map(|(one, other)| {
        assert_eq!((&one.name, &one.shape), (&other.name, &other.shape));
        floats(one).into_iter().zip(floats(other))
    });
    pairs.map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

#[test]
fn cuda_answers_as_the_processor_does() {
    let Some((_, library, model)) = real() else { return };
    let mut cpu = engine(&library, &model, CPU, 0);
    for graphs in [0, BUCKETS.len()] {
        let mut cuda = engine(&library, &model, CUDA, graphs);
        for turn in 0..3 {
            for rows in BUCKETS {
                let inputs = inputs(cpu.signature(), rows, turn);
                let far = difference(&run(&mut cuda, &inputs), &run(&mut cpu, &inputs));
                assert!(far < TOLERANCE, "{rows} rows, {graphs} graphs, turn {turn}: {far}");
            }
        }
        println!("CUDA: ran with {} graphs recorded", cuda.graphs());
        assert_eq!(cuda.graphs(), graphs);
    }
}

#[test]
fn shapes_beyond_the_graphs_run_too_and_threads_record_for_themselves() {
    let Some((_, library, model)) = real() else { return };
    let mut cpu = engine(&library, &model, CPU, 0);
    let mut cuda = engine(&library, &model, CUDA, 1);
    warm_up::run_zeros(&mut cuda, &BUCKETS[..1], &[]).unwrap();
    let signature = cpu.signature().clone();
    let expected: Vec<_> = [1, 3].map(|rows| run(&mut cpu, &inputs(&signature, rows, 1))).into();
    // Warm-up records on one thread, and batches run on another.
    let answers =
        std::thread::spawn(move || [1, 3].map(|rows| run(&mut cuda, &inputs(&signature, rows, 1)))).join().unwrap();
    for (answer, expected) in answers.iter().zip(&expected) {
        assert!(difference(answer, expected) < TOLERANCE);
    }
}

#[test]
fn tensorrt_builds_while_cuda_serves_and_its_engine_is_found_again() {
    let Some((_, library, model)) = real() else { return };
    let environment = load_library(&library).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let order = Order {
        options: OrtOptions::new(vec![TensorRT, CUDA], 1),
        instances: 2,
        buckets: BUCKETS.to_vec(),
        max_rows: 20,
        cache: Some(cache.path().to_owned()),
        cache_limit: u64::MAX,
    };
    let fetched = Arc::new(Fetched { path: model.clone(), ..Fetched::nowhere() });
    let begun = Instant::now();
    let first = match provide(environment, &fetched, &order, |_| Ok(Vec::new())) {
        Ok(provided) => provided,
        Err(error) => {
            assert_eq!(error.reason, "ProviderUnavailable", "{error}");
            println!("TensorRT: its libraries aren't here: {error}");
            return;
        }
    };
    let mut cpu = engine(&library, &model, CPU, 0);
    let mut agree = |engines: &mut [Box<dyn Engine>], who: &str| {
        for (rows, engine) in [1, 3, 16, 20].into_iter().flat_map(|rows| (0..2).map(move |at| (rows, at))) {
            let inputs = inputs(cpu.signature(), rows, engine);
            let far = difference(&run(&mut *engines[engine], &inputs), &run(&mut cpu, &inputs));
            assert!(far < TOLERANCE, "{who}, {rows} rows: {far}");
        }
    };
    let (mut engines, build) = (first.engines, first.build.unwrap());
    agree(&mut engines, "while it builds");
    let (served, state) = (begun.elapsed(), build.get());
    assert_eq!(build.ended(), EngineBuild::Built);
    let built = begun.elapsed();
    agree(&mut engines, "built");
    drop(engines);
    let begun = Instant::now();
    let mut again = provide(environment, &fetched, &order, |_| Ok(Vec::new())).unwrap();
    let found = begun.elapsed();
    assert!(again.build.is_none());
    agree(&mut again.engines, "found again");
    println!(
        "TensorRT: ran; CUDA answered {served:?} after the start ({state:?}), built after {built:?}, found in {found:?}"
    );
}

#[test]
fn the_gpu_is_in_the_metrics() {
    let Some((gpu, ..)) = real() else { return };
    let text = Metrics::new("m", "none").render(0, 0);
    for name in ["memory_used_bytes", "memory_total_bytes", "utilization_ratio", "power_watts"] {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("accelerator_{name} "))).unwrap();
        assert!(line.parse::<f64>().unwrap() >= 0.0, "{name}: {line}");
    }
    assert!(gpu.load().unwrap().memory_total > 1 << 30);
}
