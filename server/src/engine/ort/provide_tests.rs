//! What serves at once, what is loaded once, and what is built once.

use super::*;
use crate::engine::fake::{FakeEngine, Gate};
use crate::protocol::tensor::Tensor;
use ExecutionProvider::{CPU, CUDA, TensorRT};
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

#[test]
fn cuda_alone_stands_in_for_tensorrt_and_only_while_it_builds() {
    let stand_in = |providers: &[ExecutionProvider], built: bool| {
        let place = if built { Place::Whole("a".into()) } else { Place::New("a".into(), "b".into()) };
        let tensorrt = Some(TensorRt { profiles: None, place: Some(place) });
        let options = OrtOptions { tensorrt, ..OrtOptions::new(providers.to_vec(), 1) };
        meanwhile(&options).map(|options| (options.providers, options.tensorrt))
    };
    assert_eq!(stand_in(&[TensorRT, CUDA, CPU], false), Some((vec![CUDA, CPU], None)));
    assert_eq!(stand_in(&[TensorRT, CUDA], true), None);
    assert_eq!(stand_in(&[TensorRT], false), None);
    assert_eq!(stand_in(&[TensorRT, CPU], false), None);
    assert_eq!(meanwhile(&OrtOptions::new(vec![CUDA, CPU], 1)).map(|options| options.providers), None);
}

struct Shared(FakeEngine);

impl Engine for Shared {
    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn run(&mut self, inputs: &[Tensor], answer: &mut dyn FnMut(Vec<Tensor>)) -> Result<(), EngineError> {
        self.0.run(inputs, answer)
    }

    fn share(&self) -> Option<Box<dyn Engine>> {
        Some(Box::new(Self(FakeEngine::new(1, Gate::default()))))
    }
}

#[test]
fn weights_that_threads_may_share_are_loaded_once() {
    for (shared, expected) in [(true, 1), (false, 3)] {
        let loads = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&loads);
        let load: Load = Arc::new(move |_| {
            seen.fetch_add(1, Ordering::SeqCst);
            let fake = FakeEngine::new(1, Gate::default());
            Ok(if shared { Box::new(Shared(fake)) } else { Box::new(fake) })
        });
        let engines = abreast(&load, &OrtOptions::new(vec![CPU], 1), 3).unwrap();
        assert_eq!((engines.len(), loads.load(Ordering::SeqCst)), (3, expected));
    }
}

/// What is written is written once, in a folder that nobody else writes, and read by all.
#[test]
fn an_engine_is_built_once_and_loaded_by_each_instance() {
    let root = tempfile::tempdir().unwrap();
    let loads: Arc<Mutex<Vec<(PathBuf, bool)>>> = Arc::default();
    let seen = Arc::clone(&loads);
    let load: Load = Arc::new(move |options| {
        let folder = options.tensorrt.as_ref().and_then(TensorRt::folder).unwrap().to_owned();
        let built = folder.join("engine").exists();
        std::fs::write(folder.join("engine"), "").unwrap();
        seen.lock().unwrap().push((folder, built));
        Ok(Box::new(FakeEngine::new(1, Gate::default())))
    });
    let place = store::open(root.path(), "key", 1_000).unwrap();
    let tensorrt = Some(TensorRt { profiles: None, place: Some(place) });
    let options = OrtOptions { tensorrt, ..OrtOptions::new(vec![TensorRT, CUDA], 1) };
    let slots = vec![Arc::default(), Arc::default()];
    let state = Arc::new(BuildState::default());
    Building { load, options, slots, state: Arc::clone(&state), buckets: vec![1], padded: Vec::new() }.run();
    assert_eq!(state.get(), EngineBuild::Built);
    let (folder, loads) = (root.path().join("key"), loads.lock().unwrap());
    assert!(loads[0].0 != folder && !loads[0].0.exists());
    assert_eq!(loads[1..], [(folder.clone(), true), (folder, true)]);
}
