//! The bare engine loop: ONNX Runtime and nothing else, on one model. What the server is measured against.
//!
//! `bare_loop LIBRARY MODEL INPUT COLUMNS THREADS RUNS` runs one row of int32 zeros so often, and prints its resident
//! memory in KiB and the seconds of the runs as JSON.

use ort::{
    ep,
    session::Session,
    value::{Tensor, TensorRef},
};
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, model, input, columns, threads, runs] = arguments.as_slice() else {
        return Err("bare_loop LIBRARY MODEL INPUT COLUMNS THREADS RUNS".into());
    };
    let environment = ort::init_from(library)?.with_telemetry(false).build()?;
    let mut session = Session::builder(&environment)?
        .with_intra_threads(threads.parse()?)?
        .with_intra_op_spinning(false)?
        .with_memory_pattern(false)?
        .with_execution_providers([ep::CPU::default().with_arena_allocator(false).build()])?
        .commit_from_file(model)?;
    let row: Tensor<i32> = Tensor::from_array((vec![1, columns.parse::<i64>()?], vec![0; columns.parse()?]))?;
    let runs: u32 = runs.parse()?;
    let begun = Instant::now();
    for _ in 0..runs {
        let view: TensorRef<'_, i32> = row.view();
        drop(session.run(ort::inputs![input.as_str() => view])?);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kibibytes: u64 = resident.trim().trim_end_matches(" kB").parse()?;
    println!("{{\"resident_kib\": {kibibytes}, \"seconds\": {seconds}, \"runs\": {runs}}}");
    Ok(())
}
