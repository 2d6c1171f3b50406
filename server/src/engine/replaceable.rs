//! An engine that is replaced when it breaks. It fails the batch that it broke on and no other: the next one runs on a
//! session that is proved to work, or made anew.

use super::{Engine, EngineError};
use crate::{
    protocol::tensor::{Signature, Tensor},
    warm_up,
};
use std::{
    collections::BTreeMap,
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

/// How to make another engine in the place of one that broke or hangs.
#[derive(Clone)]
pub struct Spare {
    make: Maker,
    signature: Signature,
    state: Arc<EngineState>,
}

impl Spare {
    /// Another engine, to be replaced in its turn.
    ///
    /// # Errors
    /// None can be made; the state tells so.
    pub fn engine(&self) -> Result<Box<dyn Engine>, EngineError> {
        let engine = Some(self.session()?);
        Ok(Box::new(Replaceable { engine, doubted: false, failures: 0, spare: self.clone() }))
    }

    /// How the engine fares.
    #[must_use]
    pub fn state(&self) -> &Arc<EngineState> {
        &self.state
    }

    fn session(&self) -> Result<Box<dyn Engine>, EngineError> {
        let made = catch_unwind(AssertUnwindSafe(|| (self.make)()));
        let made = made.unwrap_or_else(|_| Err(EngineError::Failed("making it panicked".to_owned())));
        let why = match made {
            Ok(engine) if engine.signature() == &self.signature => {
                self.state.failed.store(0, Ordering::Relaxed);
                self.state.replaced.fetch_add(1, Ordering::Relaxed);
                tracing::warn!("a new engine is in place");
                return Ok(engine);
            }
            Ok(_) => "its file has changed".to_owned(),
            Err(error) => error.to_string(),
        };
        self.state.failed.fetch_add(1, Ordering::Relaxed);
        Err(EngineError::Failed(format!("no new engine can be made: {why}")))
    }
}

/// An engine, and how to make another.
pub struct Replaceable {
    /// `None`: it broke.
    engine: Option<Box<dyn Engine>>,
    /// It failed a batch, which may be the batch's fault or its own.
    doubted: bool,
    failures: u32,
    spare: Spare,
}

impl Replaceable {
    /// An engine that `make` can make again.
    #[must_use]
    pub fn new(engine: Box<dyn Engine>, make: Maker) -> Self {
        let spare = Spare { make, signature: engine.signature().clone(), state: Arc::default() };
        Self { engine: Some(engine), doubted: false, failures: 0, spare }
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
            && !matches!(catch_unwind(AssertUnwindSafe(|| warm_up::run_zeros(&mut **engine, &[], &[]))), Ok(Ok(())))
        {
            tracing::error!("the engine fails on zeros too: it is replaced");
            self.give_up();
        }
        self.doubted = false;
        if self.engine.is_none() {
            self.engine = Some(self.spare.session()?);
            self.failures = 0;
        }
        self.engine.as_mut().ok_or_else(|| EngineError::Failed("there is no engine".to_owned()))
    }
}

impl Engine for Replaceable {
    fn signature(&self) -> &Signature {
        &self.spare.signature
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        self.engine.as_ref().map(|engine| engine.metadata()).unwrap_or_default()
    }

    fn run(&mut self, inputs: &[Tensor], answer: &mut dyn FnMut(Vec<Tensor>)) -> Result<(), EngineError> {
        let engine = self.prove()?;
        match catch_unwind(AssertUnwindSafe(|| engine.run(inputs, answer))) {
            Ok(Ok(())) => {
                self.failures = 0;
                Ok(())
            }
            Ok(Err(error @ EngineError::Unfit(_))) => Err(error),
            Ok(Err(error)) => {
                self.doubted = true;
                self.failures += 1;
                Err(error)
            }
            Err(_) => {
                self.give_up();
                Err(EngineError::Failed("it panicked".to_owned()))
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

    fn spare(&self) -> Option<Spare> {
        Some(self.spare.clone())
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
                return Err(EngineError::Failed("the file is gone".to_owned()));
            }
            Ok(Box::new(FakeEngine::new(1, Gate::default())))
        });
        Replaceable::new(make().unwrap(), make)
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
            assert_eq!(engine.spare.state.replaced(), sessions as u64 - 1, "{told:?}");
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
    fn what_a_caller_sends_breaks_no_engine() {
        let made = Arc::default();
        let mut engine = engine(&made, usize::MAX);
        for _ in 0..2 * FAILURES {
            assert!(matches!(run(&mut engine, Told::Refuse.value()), Err(EngineError::Unfit(_))));
            assert!(engine.is_sound());
        }
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn when_no_other_can_be_made_it_says_so() {
        let made = Arc::default();
        let mut engine = engine(&made, 1);
        assert!(engine.mend() && engine.spare.state.is_up());
        run(&mut engine, Told::Panic.value()).unwrap_err();
        for attempt in 1..=ATTEMPTS {
            assert!(!engine.mend());
            assert_eq!((engine.spare.state.is_up(), engine.spare.state.is_lost()), (false, attempt == ATTEMPTS));
        }
        assert!(run(&mut engine, 1.0).unwrap_err().to_string().contains("no new engine can be made"));
    }
}
