//! Engine threads: each owns one engine, takes batches from the queue, and sends the answers where they belong. A lone
//! request of a quick model needs none of it: it runs where it is.

mod runs;
mod watch;

use crate::{
    answers::{self, Answer, Answers, Client},
    engine::{Engine, EngineError},
    error::{Error, Kind},
    metrics::Runs,
    pace::Pace,
    protocol::tensor::Tensor,
    queue::{Bounds, Entry, Moment, Next, Queue, Time, Work},
    seat::{Seat, Waiting},
    warm_up::WarmUp,
};
use arc_swap::ArcSwap;
use rustix::time::{ClockId, clock_gettime};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// A lone request runs on the caller's thread if the model is faster than this: the hand-over costs 20 µs.
const INLINE: Duration = Duration::from_micros(200);
/// How long an engine that broke rests before another attempt to put it right.
const MEND_AGAIN: Duration = Duration::from_secs(1);

/// A request for the engine.
#[derive(Debug)]
pub struct Job {
    inputs: Vec<Tensor>,
    answers: UnboundedSender<Result<Answer, Error>>,
}

impl Work for Job {
    fn gone(&self) -> bool {
        self.answers.is_closed()
    }
}

/// What the engine threads share.
pub struct Workers {
    queue: Mutex<State>,
    /// Entries of the queue, for those who only ask whether it is empty.
    waiting: AtomicUsize,
    wake: Condvar,
    seats: ArcSwap<Vec<Arc<Seat<Client>>>>,
    /// A thread that carries connections hangs in an engine.
    stuck: AtomicBool,
    start: Instant,
    /// Time that a run takes at least, in nanoseconds, from the runs so far; 0: none yet.
    expected: AtomicU64,
    /// The longest run that ended, in nanoseconds.
    longest: AtomicU64,
    batches: bool,
    inline: bool,
    processor: bool,
    warm_up: WarmUp,
    counted: Runs,
}

struct State {
    queue: Queue<Job>,
    pace: Pace,
    stopped: bool,
}

/// How the workers run.
#[derive(Clone, Debug)]
pub struct WorkOptions {
    /// Bounds of queue and batches.
    pub bounds: Bounds,
    /// What an engine runs first, batch sizes among it.
    pub warm_up: WarmUp,
    /// Lone requests of fast models may run on the caller's thread: only where the engine is the CPU.
    pub inline: bool,
    /// The engine is the CPU: what a run costs is the time that its thread had, not what others took from it meanwhile.
    pub processor: bool,
    /// A run that takes longer hangs, unless others took nearly as long: its batch is failed and its engine replaced.
    pub hang: Duration,
}

/// Why there are no workers.
#[derive(Debug, thiserror::Error)]
pub enum Unstarted {
    /// The system gives no thread.
    #[error("there is no thread for an engine: {0}")]
    Thread(#[from] std::io::Error),
    /// A model that can't be run. What the engine says goes to the log only.
    #[error("the model was loaded, and fails when it is run on zeros")]
    WarmUp(EngineError),
}

impl Workers {
    /// Starts one thread for each engine, and waits until each has warmed up.
    ///
    /// # Errors
    /// An engine fails, or the system gives no thread.
    pub fn start(
        engines: Vec<Box<dyn Engine>>,
        options: WorkOptions,
        counted: Runs,
    ) -> Result<(Arc<Self>, Vec<JoinHandle<()>>), Unstarted> {
        let batches = engines.first().is_some_and(|engine| engine.signature().batches());
        let pace = Pace::new(options.bounds.rows, &options.warm_up.buckets);
        let workers = Arc::new(Self {
            queue: Mutex::new(State { queue: Queue::new(options.bounds), pace, stopped: false }),
            waiting: AtomicUsize::new(0),
            wake: Condvar::new(),
            seats: ArcSwap::from_pointee(engines.into_iter().map(|engine| Arc::new(Seat::new(engine))).collect()),
            stuck: AtomicBool::new(false),
            start: Instant::now(),
            expected: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            batches,
            inline: options.inline && options.bounds.delay.is_zero(),
            processor: options.processor,
            warm_up: options.warm_up,
            counted,
        });
        let seats = workers.seats.load_full();
        let (warm, warmed) = mpsc::channel();
        let threads: Result<Vec<_>, _> = seats.iter().map(|seat| workers.staff(seat, Some(warm.clone()))).collect();
        drop(warm);
        if let Some(error) = warmed.iter().find_map(Result::err) {
            workers.stop();
            return Err(Unstarted::WarmUp(error));
        }
        if seats.iter().any(|seat| seat.spare().is_some()) {
            let watched = Arc::downgrade(&workers);
            std::thread::Builder::new().name("watch".to_owned()).spawn(move || watch::watch(&watched, options.hang))?;
        }
        Ok((workers, threads?))
    }

    /// Gives a seat its thread, which tells `warmed` what came of the first runs.
    fn staff(
        self: &Arc<Self>,
        seat: &Arc<Seat<Client>>,
        warmed: Option<mpsc::Sender<Result<(), EngineError>>>,
    ) -> std::io::Result<JoinHandle<()>> {
        let (workers, seat) = (Arc::clone(self), Arc::clone(seat));
        std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
            let first = seat.engine().map_or(Ok(()), |mut engine| workers.warm_up(&seat, &mut **engine));
            match warmed {
                Some(warmed) => _ = warmed.send(first),
                None => _ = first.inspect_err(|error| tracing::error!(%error, "warm-up of a new engine")),
            }
            workers.serve(&seat);
        })
    }

    /// The first runs of an engine, on its thread.
    fn warm_up(&self, seat: &Seat<Client>, engine: &mut dyn Engine) -> Result<(), EngineError> {
        let begun = seat.begin(Waiting::Nobody);
        let outcome = catch_unwind(AssertUnwindSafe(|| self.warm_up.run(engine)));
        seat.end();
        // No run takes longer than all of these together; what takes far longer hangs.
        self.longest.fetch_max(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        outcome.unwrap_or_else(|_| Err(EngineError::Failed("it panicked".to_owned())))
    }

    /// Entries that wait.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether a thread that carries connections hangs in an engine: only a new process serves them again.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    /// Ends the threads once the queue is empty.
    pub fn stop(&self) {
        self.state().stopped = true;
        self.wake.notify_all();
    }

    /// Sends a request to the engine.
    ///
    /// # Errors
    /// 429: the queue is full.
    pub fn submit(&self, inputs: Vec<Tensor>, rows: usize, lane: usize, deadline: Instant) -> Result<Answers, Error> {
        let expected = self.expected();
        if self.inline && !expected.is_zero() && expected < INLINE && self.depth() == 0 {
            let seats = self.seats.load();
            if let Some((seat, mut engine)) = from_own(&seats).find_map(|seat| Some((seat, seat.idle()?))) {
                return Ok(Answers::Here(self.run_here(seat, &mut **engine, inputs, rows)));
            }
        }
        let (sender, receiver) = unbounded_channel();
        let now = self.now();
        let entry = Entry {
            lane,
            shape: inputs.iter().map(|tensor| tensor.shape[usize::from(self.batches)..].to_vec()).collect(),
            rows,
            bytes: inputs.iter().map(|tensor| tensor.data.heap_bytes()).sum(),
            since: now,
            deadline: now + deadline.saturating_duration_since(Instant::now()),
            work: Job { inputs, answers: sender },
        };
        let mut state = self.state();
        state.queue.push(entry).map_err(|_| Error::refused(Kind::Exhausted, "the queue is full"))?;
        self.waiting.store(state.queue.len(), Ordering::Relaxed);
        drop(state);
        self.wake.notify_one();
        Ok(Answers::Coming(receiver))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Time {
        self.start.elapsed()
    }

    /// What this thread has spent on runs, as far as only differences count.
    fn spent(&self) -> Time {
        if !self.processor {
            return self.now();
        }
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Time::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    fn expected(&self) -> Duration {
        Duration::from_nanos(self.expected.load(Ordering::Relaxed))
    }

    fn serve(&self, seat: &Seat<Client>) {
        while !seat.is_left()
            && let Some(batch) = self.next_batch()
        {
            let Some(mut engine) = seat.engine() else { return self.hand_back(batch) };
            self.run(seat, &mut **engine, batch);
            self.mend(seat, &mut **engine);
        }
    }

    /// Leaves a batch to the thread of another engine.
    fn hand_back(&self, batch: Vec<Entry<Job>>) {
        let mut state = self.state();
        for entry in batch {
            if let Err(entry) = state.queue.push(entry) {
                let _ = entry.work.answers.send(Err(answers::failed()));
            }
        }
        self.waiting.store(state.queue.len(), Ordering::Relaxed);
        self.wake.notify_all();
    }

    /// Puts an engine right that failed, before it takes another batch.
    fn mend(&self, seat: &Seat<Client>, engine: &mut dyn Engine) {
        while !engine.is_sound() && !seat.is_left() && !self.state().stopped {
            // To look at an engine that broke may hang as well.
            seat.begin(Waiting::Nobody);
            let replaced = seat.replaced();
            let mended = engine.mend();
            if mended && seat.replaced() > replaced {
                _ = self.warm_up.run(engine).inspect_err(|error| tracing::error!(%error, "warm-up of a new engine"));
            }
            if seat.end() && !mended {
                std::thread::sleep(MEND_AGAIN);
            }
        }
    }

    /// Waits for a batch; `None`: the server ends.
    fn next_batch(&self) -> Option<Vec<Entry<Job>>> {
        let mut state = self.state();
        loop {
            let mut late = Vec::new();
            let State { queue, pace, .. } = &mut *state;
            let moment = Moment { now: self.now(), run: self.expected(), rows: pace.most(queue.rows()) };
            let next = queue.next(moment, &mut late);
            self.waiting.store(state.queue.len(), Ordering::Relaxed);
            for entry in late {
                // An estimate that was wrong once must not keep refusing: it sinks until a run corrects it.
                self.expected.store(self.expected.load(Ordering::Relaxed) / 10 * 9, Ordering::Relaxed);
                let _ = entry
                    .work
                    .answers
                    .send(Err(Error::new(Kind::Deadline, "the deadline would pass before an answer")));
            }
            state = match next {
                Next::Batch(batch) => return Some(batch),
                Next::Wait(_) if state.stopped && state.queue.is_empty() => return None,
                Next::Wait(None) => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Next::Wait(Some(until)) => {
                    let wait = until.saturating_sub(self.now());
                    self.wake.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

/// Seats, beginning with this thread's own: threads that each begin at another one seldom meet, and find in their core's
/// cache what they left there.
fn from_own(seats: &[Arc<Seat<Client>>]) -> impl Iterator<Item = &Arc<Seat<Client>>> {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OWN: usize = THREADS.fetch_add(1, Ordering::Relaxed));
    let (before, after) = seats.split_at(OWN.with(|own| own % seats.len().max(1)));
    after.iter().chain(before)
}
