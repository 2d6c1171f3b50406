//! An engine that serves until a better one is built: CUDA, while TensorRT builds.

use super::{Engine, EngineError};
use crate::protocol::tensor::{Signature, Tensor};
use millrace_crds::report::EngineBuild;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// How the build of a better engine fares, for report and metrics.
#[derive(Debug, Default)]
pub struct BuildState {
    build: Mutex<EngineBuild>,
    changed: Condvar,
}

impl BuildState {
    /// What is to be told of it.
    #[must_use]
    pub fn get(&self) -> EngineBuild {
        *self.build()
    }

    /// It has come so far.
    pub fn set(&self, build: EngineBuild) {
        *self.build() = build;
        self.changed.notify_all();
    }

    /// Blocks until it has ended, and says how.
    #[must_use]
    pub fn ended(&self) -> EngineBuild {
        let goes_on = |build: &mut EngineBuild| *build == EngineBuild::Building;
        *self.changed.wait_while(self.build(), goes_on).unwrap_or_else(PoisonError::into_inner)
    }

    fn build(&self) -> MutexGuard<'_, EngineBuild> {
        self.build.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the better engine of one instance is put, once.
#[derive(Default)]
pub struct Better {
    arrived: AtomicBool,
    engine: Mutex<Option<Box<dyn Engine>>>,
}

impl Better {
    /// Here it is.
    pub fn put(&self, engine: Box<dyn Engine>) {
        *self.engine() = Some(engine);
        self.arrived.store(true, Ordering::Release);
    }

    fn take(&self) -> Option<Box<dyn Engine>> {
        // Each batch asks: most of the time a glance is enough.
        if self.arrived.load(Ordering::Acquire) { self.engine().take() } else { None }
    }

    fn engine(&self) -> MutexGuard<'_, Option<Box<dyn Engine>>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An engine for the time being.
pub struct Meanwhile {
    engine: Box<dyn Engine>,
    better: Arc<Better>,
}

impl Meanwhile {
    /// `engine`, until there is a better one.
    #[must_use]
    pub fn new(engine: Box<dyn Engine>, better: Arc<Better>) -> Self {
        Self { engine, better }
    }
}

impl Engine for Meanwhile {
    fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.engine.metadata()
    }

    fn run(&mut self, inputs: &[Tensor], answer: &mut dyn FnMut(Vec<Tensor>)) -> Result<(), EngineError> {
        if let Some(engine) = self.better.take() {
            tracing::info!("the engine that was being built serves from now on");
            self.engine = engine;
        }
        self.engine.run(inputs, answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::fake::{FakeEngine, Gate},
        protocol::data::Data,
    };

    #[test]
    fn who_waits_for_a_build_is_told_how_it_ended() {
        // Often enough that some wait already when it ends, and some don't yet.
        for _ in 0..500 {
            let state = Arc::new(BuildState::default());
            let (begins, begun) = std::sync::mpsc::channel();
            let waits = std::thread::spawn({
                let state = Arc::clone(&state);
                move || {
                    begins.send(()).unwrap();
                    state.ended()
                }
            });
            begun.recv().unwrap();
            assert_eq!(state.get(), EngineBuild::Building);
            state.set(EngineBuild::Failed);
            assert_eq!((waits.join().unwrap(), state.ended()), (EngineBuild::Failed, EngineBuild::Failed));
        }
    }

    #[test]
    fn the_better_engine_takes_the_next_batch() {
        let (now, later) = (Gate::default(), Gate::default());
        let better = Arc::new(Better::default());
        let mut engine = Meanwhile::new(Box::new(FakeEngine::new(1, now.clone())), Arc::clone(&better));
        let mut run = || {
            let row = Tensor { name: "x".to_owned(), shape: vec![1, 2], data: Data::Fp32(vec![0.0; 2]) };
            engine.run(&[row], &mut |_| {}).unwrap();
        };
        run();
        better.put(Box::new(FakeEngine::new(1, later.clone())));
        run();
        run();
        assert_eq!((now.batches(), later.batches()), (vec![1], vec![1, 1]));
    }
}
