//! Where an engine sits: the engine, the batch that it works on, and since when. A batch that takes far too long is failed
//! in its place, and its seat is given to another engine; the thread that hangs in the old one is left to itself.

use crate::engine::{Engine, replaceable::Spare};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How long a seat's thread rests before it asks for its engine again.
const ASK_AGAIN: Duration = Duration::from_micros(50);

/// Who waits for a batch.
#[derive(Debug)]
pub enum Waiting<C> {
    /// These, each for an answer that is sent.
    Clients(Arc<[C]>),
    /// The thread that runs it, which carries connections.
    Caller,
    /// Nobody: the engine looks at itself.
    Nobody,
}

/// A seat; `C` are those who wait for a batch.
pub struct Seat<C> {
    engine: Mutex<Box<dyn Engine>>,
    work: Mutex<Option<(Instant, Waiting<C>)>>,
    left: AtomicBool,
    /// Its thread waits for the engine.
    wanted: AtomicBool,
    spare: Option<Spare>,
}

impl<C> Seat<C> {
    /// A seat for an engine.
    #[must_use]
    pub fn new(engine: Box<dyn Engine>) -> Self {
        let spare = engine.spare();
        Self {
            engine: Mutex::new(engine),
            work: Mutex::default(),
            left: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            spare,
        }
    }

    fn work(&self) -> MutexGuard<'_, Option<(Instant, Waiting<C>)>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine, waited for by the seat's thread; `None`: it hangs on the thread of a caller, and the seat is left.
    pub fn engine(&self) -> Option<MutexGuard<'_, Box<dyn Engine>>> {
        self.wanted.store(true, Ordering::SeqCst);
        let engine = loop {
            match self.engine.try_lock() {
                Ok(engine) => break Some(engine),
                Err(TryLockError::Poisoned(engine)) => break Some(engine.into_inner()),
                Err(TryLockError::WouldBlock) if self.is_left() => break None,
                // A caller runs a quick model in place, and is about to be done.
                Err(TryLockError::WouldBlock) => std::thread::sleep(ASK_AGAIN),
            }
        };
        self.wanted.store(false, Ordering::SeqCst);
        engine
    }

    /// The engine, if it is idle, needs no look at itself, and its own thread doesn't wait for it: that one has a batch, and
    /// who only tries would always be faster.
    pub fn idle(&self) -> Option<MutexGuard<'_, Box<dyn Engine>>> {
        if self.wanted.load(Ordering::SeqCst) {
            return None;
        }
        self.engine.try_lock().ok().filter(|engine| engine.is_sound())
    }

    /// Work begins; gives when.
    pub fn begin(&self, waiting: Waiting<C>) -> Instant {
        let now = Instant::now();
        *self.work() = Some((now, waiting));
        now
    }

    /// The work is done; `false`: it took too long, and its clients have their answer already.
    pub fn end(&self) -> bool {
        self.work().take().is_some()
    }

    /// Takes the work away if it has gone on for longer than `limit`, and leaves the seat: gives those who wait.
    pub fn overdue(&self, limit: Duration) -> Option<Waiting<C>> {
        let mut work = self.work();
        let (_, waiting) = work.take_if(|(since, _)| since.elapsed() > limit)?;
        self.left.store(true, Ordering::SeqCst);
        Some(waiting)
    }

    /// Whether its engine hangs, and nobody should wait for it.
    #[must_use]
    pub fn is_left(&self) -> bool {
        self.left.load(Ordering::SeqCst)
    }

    /// How often its engine was replaced by itself.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.spare.as_ref().map_or(0, |spare| spare.state().replaced())
    }

    /// How to make another engine; `None`: there is no other.
    #[must_use]
    pub fn spare(&self) -> Option<&Spare> {
        self.spare.as_ref()
    }
}
