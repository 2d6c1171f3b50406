//! Where an engine sits: the engine, the batch that it works on, and since when. A batch that takes far too long is failed
//! in its place, and its seat is given to another engine; the thread that hangs in the old one is left to itself.

use crate::engine::{Engine, replaceable::Spare};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// A seat; `C` are those who wait for a batch.
pub struct Seat<C> {
    engine: Mutex<Box<dyn Engine>>,
    work: Mutex<Option<(Instant, Arc<[C]>)>>,
    left: AtomicBool,
    spare: Option<Spare>,
}

impl<C> Seat<C> {
    /// A seat for an engine.
    #[must_use]
    pub fn new(engine: Box<dyn Engine>) -> Self {
        let spare = engine.spare();
        Self { engine: Mutex::new(engine), work: Mutex::default(), left: AtomicBool::new(false), spare }
    }

    fn work(&self) -> MutexGuard<'_, Option<(Instant, Arc<[C]>)>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine, waited for.
    pub fn engine(&self) -> MutexGuard<'_, Box<dyn Engine>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine, if it is idle and needs no look at itself.
    pub fn idle(&self) -> Option<MutexGuard<'_, Box<dyn Engine>>> {
        self.engine.try_lock().ok().filter(|engine| engine.is_sound())
    }

    /// Work for `clients` begins.
    pub fn begin(&self, clients: Arc<[C]>) {
        *self.work() = Some((Instant::now(), clients));
    }

    /// The work is done; `false`: it took too long, and its clients have their answer already.
    pub fn end(&self) -> bool {
        self.work().take().is_some()
    }

    /// Takes the work away if it has gone on for longer than `limit`, and leaves the seat: gives those who wait.
    pub fn overdue(&self, limit: Duration) -> Option<Arc<[C]>> {
        let mut work = self.work();
        let (_, clients) = work.take_if(|(since, _)| since.elapsed() > limit)?;
        self.left.store(true, Ordering::SeqCst);
        Some(clients)
    }

    /// Whether its engine hangs, and nobody should wait for it.
    #[must_use]
    pub fn is_left(&self) -> bool {
        self.left.load(Ordering::SeqCst)
    }

    /// How to make another engine; `None`: there is no other.
    #[must_use]
    pub fn spare(&self) -> Option<&Spare> {
        self.spare.as_ref()
    }
}
