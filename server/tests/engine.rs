//! ONNX Runtime itself: tensors of every type go in and come back as they were, from one thread and from several at once.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

mod support;

use millrace_crds::ExecutionProvider;
use millrace_server::{
    engine::{
        Engine, EngineError,
        ort::{OrtEngine, OrtOptions, load_library},
    },
    protocol::{
        data::{Data, Datatype},
        tensor::Tensor,
    },
};
use std::path::Path;
use support::real::Real;

/// What is no text. Texts take another way in and out.
const PLAIN: &str = "BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 BF16 FP32 FP64";

/// The engine of a model that gives back what it takes, of each of these types.
fn identity(real: &Real, folder: &Path, types: &str) -> OrtEngine {
    let model = folder.join(format!("{}.onnx", types.len()));
    let arguments = std::iter::once(model.to_str().unwrap()).chain(types.split_whitespace());
    real.run("identity_model.py", &arguments.collect::<Vec<_>>(), "");
    let options = OrtOptions::new(vec![ExecutionProvider::CPU], 1);
    OrtEngine::load(load_library(&real.library).unwrap(), &model, &options).unwrap()
}

/// Rows of three elements, of one bit pattern after the other.
fn tensor(name: &str, rows: usize, seed: u8) -> Tensor {
    let datatype = Datatype::parse(name).unwrap();
    let count = rows * 3;
    let data = match datatype {
        Datatype::Bytes => Data::Bytes((0..count).map(|at| format!("{seed} {at}").into()).collect()),
        Datatype::Bool => Data::Bool((0..count).map(|at| (at + usize::from(seed)).is_multiple_of(3)).collect()),
        _ => {
            let bytes = count * datatype.size().unwrap();
            // None of these is a NaN, which is equal to nothing.
            let raw = (0..bytes).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed) & 0x3f).collect::<Vec<_>>();
            Data::from_le(name, datatype, &raw.into(), count).unwrap()
        }
    };
    Tensor { name: format!("x_{name}"), shape: vec![rows, 3], data }
}

#[test]
fn each_type_comes_back_as_it_was() {
    let Some(real) = Real::here() else { return };
    let folder = tempfile::tempdir().unwrap();
    for types in [PLAIN.to_owned(), format!("{PLAIN} BYTES")] {
        let mut engine = identity(&real, folder.path(), &types);
        for (rows, seed) in [(1, 1), (5, 2), (0, 3), (64, 4), (1, 5)] {
            let given: Vec<Tensor> = types.split_whitespace().map(|name| tensor(name, rows, seed)).collect();
            let mut back = Vec::new();
            let ran = engine.run(&given, &mut |outputs| back = outputs);
            ran.unwrap_or_else(|error| panic!("{rows} rows of {types}: {error}"));
            let given = given.into_iter().map(|tensor| Tensor { name: tensor.name.replace('x', "y"), ..tensor });
            assert_eq!(back, given.collect::<Vec<_>>(), "{rows} rows of {types}");
        }
    }
}

/// Threads on one copy of the weights get what each would have got alone.
#[test]
fn threads_that_share_a_session_get_their_own_answers() {
    let Some(real) = Real::here() else { return };
    let model = real.models.join("minilm/model.onnx");
    let load = |threads| {
        let options = OrtOptions::new(vec![ExecutionProvider::CPU], threads);
        OrtEngine::load(load_library(&real.library).unwrap(), &model, &options).unwrap()
    };
    let mut alone = load(1);
    assert!(load(2).share().is_none(), "one with threads of its own is run by one at a time");
    let given = |seed: usize| -> Vec<Tensor> {
        let shape = vec![1 + seed % 3, 8 + seed % 5];
        let tokens = |token: &dyn Fn(usize) -> i64| Data::Int64((0..shape[0] * shape[1]).map(token).collect());
        let inputs = alone.signature().inputs.iter().map(|spec| match spec.name.as_str() {
            "input_ids" => (spec, tokens(&|at| (1_000 + 37 * seed + at) as i64)),
            "attention_mask" => (spec, tokens(&|_| 1)),
            _ => (spec, tokens(&|_| 0)),
        });
        inputs.map(|(spec, data)| Tensor { name: spec.name.clone(), shape: shape.clone(), data }).collect()
    };
    let inputs: Vec<Vec<Tensor>> = (0..12).map(given).collect();
    let expected: Vec<Vec<Tensor>> = inputs.iter().map(|inputs| answer(&mut alone, inputs)).collect();
    assert_ne!(expected[0], expected[3], "of one shape, and not the same");
    together(&alone, &inputs, &expected);
    // Each type, texts among them.
    let folder = tempfile::tempdir().unwrap();
    let types = format!("{PLAIN} BYTES");
    let mut alone = identity(&real, folder.path(), &types);
    let given = |seed| types.split_whitespace().map(|name| tensor(name, 1 + usize::from(seed) % 4, seed)).collect();
    let inputs: Vec<Vec<Tensor>> = (0..12).map(given).collect();
    let expected: Vec<Vec<Tensor>> = inputs.iter().map(|inputs| answer(&mut alone, inputs)).collect();
    together(&alone, &inputs, &expected);
}

fn answer(engine: &mut dyn Engine, inputs: &[Tensor]) -> Vec<Tensor> {
    let mut answer = Vec::new();
    engine.run(inputs, &mut |outputs| answer = outputs).unwrap();
    answer
}

/// Runs each of the inputs on four threads that share the engine's session.
fn together(engine: &OrtEngine, inputs: &[Vec<Tensor>], expected: &[Vec<Tensor>]) {
    let engines: Vec<_> = (0..4).map(|_| engine.share().unwrap()).collect();
    std::thread::scope(|scope| {
        for (number, mut engine) in engines.into_iter().enumerate() {
            scope.spawn(move || {
                for turn in 0..24 {
                    let at = (number * 5 + turn) % inputs.len();
                    assert_eq!(answer(&mut *engine, &inputs[at]), expected[at], "input {at} of thread {number}");
                }
            });
        }
    });
}

#[test]
fn what_does_not_fit_is_an_error_and_the_engine_goes_on() {
    let Some(real) = Real::here() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut engine = identity(&real, folder.path(), "FP32");
    let good = tensor("FP32", 2, 1);
    let mut run = |tensor: Tensor| {
        let mut rows = 0;
        engine.run(&[tensor], &mut |outputs| rows = outputs[0].shape[0]).map(|()| rows)
    };
    let wide = Tensor { shape: vec![3, 2], ..good.clone() };
    assert!(matches!(run(wide), Err(EngineError::Unfit(_))), "two columns in place of three");
    let long = Tensor { shape: vec![1 << 40, 3], ..good.clone() };
    assert!(run(long).is_err(), "a shape of more than there is");
    let deep = Tensor { shape: vec![2, 3, 1, 1, 1, 1, 1, 1, 1], ..good.clone() };
    assert!(run(deep).is_err(), "more dimensions than the model has");
    let other = Tensor { name: "x".to_owned(), ..good.clone() };
    assert!(run(other).is_err(), "another name");
    assert_eq!(run(good).unwrap(), 2);
}
