//! An engine that is replaced when it breaks. It fails the batch that it broke on and no other: the next one runs on a
//! session that is proved to work, or made anew.

use super::{Engine, EngineError};
use crate::{
    model,
    protocol::tensor::{Signature, Tensor},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

/// Makes a session of the model.
pub type Maker = Arc<dyn Fn() -> Result<Box<dyn Engine>, EngineError> + Send + Sync>;

/// So many failures in a row, and a session is replaced whatever it does with zeros.
const FAILURES: u32 = 3;
/// So many attempts to make a session, and a new process has better chances.
const ATTEMPTS: u32 = 5;

/// How an engine fares, for health and metrics.
#[derive(Debug, Default)]
pub struct EngineState {
    replaced: AtomicU64,
    /// Attempts to make a session that failed, since the last one that didn't.
    failed: AtomicU32,
}

impl EngineState {
    /// How often it was replaced.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    /// Whether it takes batches.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.failed.load(Ordering::Relaxed) == 0
    }

    /// Whether there is no use in waiting for it.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.failed.load(Ordering::Relaxed) >= ATTEMPTS
    }
}

/// An engine, and how to make another.
pub struct Replaceable {
    /// `None`: it broke.
    engine: Option<Box<dyn Engine>>,
    make: Maker,
    signature: Signature,
    /// It failed a batch, which may be the batch's fault or its own.
    doubted: bool,
    failures: u32,
    state: Arc<EngineState>,
}

impl Replaceable {
    /// The first session.
    ///
    /// # Errors
    /// It can't be made.
    pub fn new(make: Maker) -> Result<Self, EngineError> {
        let engine = make()?;
        let signature = engine.signature().clone();
        Ok(Self { engine: Some(engine), make, signature, doubted: false, failures: 0, state: Arc::default() })
    }

    /// Drops the session. A broken one may panic once more.
    fn give_up(&mut self) {
        let engine = self.engine.take();
        if catch_unwind(AssertUnwindSafe(|| drop(engine))).is_err() {
            tracing::warn!("the broken engine panicked on its way out");
        }
    }

    /// Tells a broken session from a batch that no session could run, and puts another in its place.
    fn prove(&mut self) -> Result<&mut Box<dyn Engine>, EngineError> {
        if self.doubted && self.failures >= FAILURES {
            tracing::error!(failures = self.failures, "the engine fails again and again: it is replaced");
            self.give_up();
        } else if self.doubted
            && let Some(engine) = &mut self.engine
            && !matches!(catch_unwind(AssertUnwindSafe(|| model::warm_up(&mut **engine, &[]))), Ok(Ok(())))
        {
            tracing::error!("the engine fails on zeros too: it is replaced");
            self.give_up();
        }
        self.doubted = false;
        if self.engine.is_none() {
            self.engine = Some(self.another()?);
            self.failures = 0;
        }
        self.engine.as_mut().ok_or_else(|| EngineError("there is no engine".to_owned()))
    }

    fn another(&self) -> Result<Box<dyn Engine>, EngineError> {
        let made = catch_unwind(AssertUnwindSafe(|| (self.make)()));
        let made = made.unwrap_or_else(|_| Err(EngineError("making it panicked".to_owned())));
        match made {
            Ok(engine) if engine.signature() == &self.signature => {
                self.state.failed.store(0, Ordering::Relaxed);
                self.state.replaced.fetch_add(1, Ordering::Relaxed);
                tracing::warn!("a new engine is in place");
                Ok(engine)
            }
            Ok(_) => Err(self.no_other("its file has changed")),
            Err(error) => Err(self.no_other(&error.0)),
        }
    }

    fn no_other(&self, why: &str) -> EngineError {
        self.state.failed.fetch_add(1, Ordering::Relaxed);
        EngineError(format!("no new engine can be made: {why}"))
    }
}

impl Engine for Replaceable {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&mut self, inputs: &[Tensor], answer: &mut dyn FnMut(Vec<Tensor>)) -> Result<(), EngineError> {
        let engine = self.prove()?;
        match catch_unwind(AssertUnwindSafe(|| engine.run(inputs, answer))) {
            Ok(Ok(())) => {
                self.failures = 0;
                Ok(())
            }
            Ok(Err(error)) => {
                self.doubted = true;
                self.failures += 1;
                Err(error)
            }
            Err(_) => {
                self.give_up();
                Err(EngineError("it panicked".to_owned()))
            }
        }
    }

    fn mend(&mut self) -> bool {
        let sound = self.engine.is_some() && !self.doubted;
        sound || self.prove().inspect_err(|error| tracing::error!(%error, "the engine broke")).is_ok()
    }

    fn is_sound(&self) -> bool {
        self.engine.is_some() && !self.doubted
    }

    fn spare(&self) -> Option<(Maker, Arc<EngineState>)> {
        Some((Arc::clone(&self.make), Arc::clone(&self.state)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::fake::{FakeEngine, Gate, Told},
        protocol::data::Data,
    };
    use std::sync::atomic::AtomicUsize;

    /// An engine of which `made` counts the sessions; from the `end`th on none can be made.
    fn engine(made: &Arc<AtomicUsize>, end: usize) -> Replaceable {
        let made = Arc::clone(made);
        let make: Maker = Arc::new(move || {
            if made.fetch_add(1, Ordering::SeqCst) >= end {
                return Err(EngineError("the file is gone".to_owned()));
            }
            Ok(Box::new(FakeEngine::new(1, Gate::default())))
        });
        Replaceable::new(make).unwrap()
    }

    fn run(engine: &mut Replaceable, first: f32) -> Result<(), EngineError> {
        let row = Tensor { name: "x".to_owned(), shape: vec![1, 2], data: Data::Fp32(vec![first, 0.0]) };
        engine.run(&[row], &mut |_| {})
    }

    #[test]
    fn what_breaks_is_replaced_and_what_only_failed_is_not() {
        for (told, sessions) in [(Told::Fail, 1), (Told::Panic, 2), (Told::Break, 2)] {
            let made = Arc::default();
            let mut engine = engine(&made, usize::MAX);
            run(&mut engine, 1.0).unwrap();
            run(&mut engine, told.value()).unwrap_err();
            assert!(!engine.is_sound(), "{told:?}: it must not be used before it is looked at");
            run(&mut engine, 1.0).unwrap_or_else(|error| panic!("{told:?} failed another batch: {error}"));
            assert_eq!(made.load(Ordering::SeqCst), sessions, "{told:?}");
            assert_eq!(engine.state.replaced(), sessions as u64 - 1, "{told:?}");
        }
    }

    #[test]
    fn one_that_fails_again_and_again_is_replaced() {
        let made = Arc::default();
        let mut engine = engine(&made, usize::MAX);
        for _ in 0..FAILURES {
            run(&mut engine, Told::Fail.value()).unwrap_err();
        }
        assert!(engine.mend());
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn when_no_other_can_be_made_it_says_so() {
        let made = Arc::default();
        let mut engine = engine(&made, 1);
        assert!(engine.mend() && engine.state.is_up());
        run(&mut engine, Told::Panic.value()).unwrap_err();
        for attempt in 1..=ATTEMPTS {
            assert!(!engine.mend());
            assert_eq!((engine.state.is_up(), engine.state.is_lost()), (false, attempt == ATTEMPTS));
        }
        assert!(run(&mut engine, 1.0).unwrap_err().0.contains("no new engine can be made"));
    }
}
