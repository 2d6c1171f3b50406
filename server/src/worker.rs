//! Engine threads: each owns one session, takes batches from the queue, and sends the answers where they belong. A lone
//! request of a quick model needs none of it: it runs where it is.

use crate::{
    answers::{self, Answer, Answers, Client},
    batch,
    engine::{Engine, EngineError},
    error::{Error, Kind},
    metrics::Runs,
    protocol::tensor::Tensor,
    queue::{Bounds, Entry, Moment, Next, Queue, Time, Work},
    seat::{Seat, Waiting},
    warm_up::WarmUp,
};
use arc_swap::ArcSwap;
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
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
/// A run hangs only if it takes so many times as long as the longest that ended.
const SLOWER: u32 = 20;

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
    warm_up: WarmUp,
    counted: Runs,
}

struct State {
    queue: Queue<Job>,
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
        let workers = Arc::new(Self {
            queue: Mutex::new(State { queue: Queue::new(options.bounds), stopped: false }),
            waiting: AtomicUsize::new(0),
            wake: Condvar::new(),
            seats: ArcSwap::from_pointee(engines.into_iter().map(|engine| Arc::new(Seat::new(engine))).collect()),
            stuck: AtomicBool::new(false),
            start: Instant::now(),
            expected: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            batches,
            inline: options.inline && options.bounds.delay.is_zero(),
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
            std::thread::Builder::new().name("watch".to_owned()).spawn(move || watch(&watched, options.hang))?;
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

    /// Fails batches that hang, and puts another engine in the place of the one that hangs on them.
    fn relieve(self: &Arc<Self>, hang: Duration) {
        let longest = Duration::from_nanos(self.longest.load(Ordering::Relaxed));
        let seats = self.seats.load_full();
        for (at, seat) in seats.iter().enumerate() {
            if let Some(waiting) = seat.overdue(hang.max(longest.saturating_mul(SLOWER))) {
                tracing::error!("an engine hangs: its batch is failed, and the engine replaced");
                match waiting {
                    Waiting::Clients(clients) => answers::fail(&clients, &answers::failed()),
                    Waiting::Caller => self.stuck.store(true, Ordering::Relaxed),
                    Waiting::Nobody => {}
                }
            }
            if !seat.is_left() {
                continue;
            }
            let Some(engine) = seat.spare().and_then(|spare| spare.engine().ok()) else { continue };
            let fresh = Arc::new(Seat::new(engine));
            match self.staff(&fresh, None) {
                // It ends by itself when the server does, as the others do.
                Ok(thread) => drop(thread),
                Err(error) => {
                    tracing::error!(%error, "there is no thread for a new engine");
                    continue;
                }
            }
            let mut others = Vec::clone(&self.seats.load());
            others[at] = fresh;
            self.seats.store(Arc::new(others));
        }
    }

    /// Waits for a batch; `None`: the server ends.
    fn next_batch(&self) -> Option<Vec<Entry<Job>>> {
        let mut state = self.state();
        loop {
            let mut late = Vec::new();
            let next = state.queue.next(Moment { now: self.now(), run: self.expected() }, &mut late);
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

    fn run(&self, seat: &Seat<Client>, engine: &mut dyn Engine, entries: Vec<Entry<Job>>) {
        let begun = self.now();
        let mut requests = Vec::with_capacity(entries.len());
        let mut clients = Vec::with_capacity(entries.len());
        let mut rows = 0;
        for entry in entries {
            let queued = begun.saturating_sub(entry.since);
            clients.push(Client { from: rows, rows: entry.rows, queued, answers: entry.work.answers });
            requests.push(entry.work.inputs);
            rows += entry.rows;
        }
        self.counted.queued(clients.iter().map(|client| client.queued));
        self.run_batch(seat, engine, requests, clients.into());
    }

    /// Runs the rows of these clients, in their order.
    fn run_batch(
        &self,
        seat: &Seat<Client>,
        engine: &mut dyn Engine,
        mut requests: Vec<Vec<Tensor>>,
        clients: Arc<[Client]>,
    ) {
        let rows = clients.iter().map(|client| client.rows).sum();
        let padded = if self.batches { batch::bucket(rows, &self.warm_up.buckets) } else { rows };
        let inputs = if self.batches { batch::concat(requests, padded) } else { requests.pop() };
        let Some(inputs) = inputs else { return answers::fail(&clients, &answers::failed()) };
        let timer = seat.begin(Waiting::Clients(Arc::clone(&clients)));
        let whole = clients.len() == 1 && padded == rows;
        let ran = self.attempt(seat, rows, timer, || {
            engine.run(&inputs, &mut |outputs| {
                // Whoever waited for an engine that hung has an answer already.
                if !seat.is_left() {
                    answers::deliver(&clients, outputs, whole, timer.elapsed());
                }
            })
        });
        match ran {
            None | Some(Ok(())) => {}
            // One caller's tensors are no other's fault: each is run alone.
            Some(Err(EngineError::Unfit(_))) if clients.len() > 1 => {
                for client in &*clients {
                    let own = Client { from: 0, answers: client.answers.clone(), ..*client };
                    match batch::split(&inputs, client.from, client.rows) {
                        Some(request) if !seat.is_left() => {
                            self.run_batch(seat, engine, vec![request], Arc::new([own]));
                        }
                        _ => answers::fail(&[own], &answers::failed()),
                    }
                }
            }
            Some(Err(error)) => answers::fail(&clients, &answers::why(&error)),
        }
    }

    /// Runs a lone request on the thread that brought it: nothing is sent, nobody is woken.
    fn run_here(
        &self,
        seat: &Seat<Client>,
        engine: &mut dyn Engine,
        inputs: Vec<Tensor>,
        rows: usize,
    ) -> VecDeque<Result<Answer, Error>> {
        let mut here = VecDeque::with_capacity(1);
        let padded = if self.batches { batch::bucket(rows, &self.warm_up.buckets) } else { rows };
        let inputs = if padded == rows { Some(inputs) } else { batch::concat(vec![inputs], padded) };
        let Some(inputs) = inputs else { return VecDeque::from([Err(answers::failed())]) };
        let timer = seat.begin(Waiting::Caller);
        let ran = self.attempt(seat, rows, timer, || {
            engine.run(&inputs, &mut |outputs| {
                // An engine that was given up has been replaced: what it says now is no answer any more.
                if !seat.is_left() {
                    let outputs = if padded == rows { Some(outputs) } else { batch::split(&outputs, 0, rows) };
                    here.push_back(answers::answer(outputs, Duration::ZERO, timer.elapsed()));
                }
            })
        });
        self.counted.queued([Duration::ZERO]);
        match ran {
            Some(Ok(())) => {}
            Some(Err(error)) => here.push_back(Err(answers::why(&error))),
            None => here.push_back(Err(answers::failed())),
        }
        here
    }

    /// How a run that began at `timer` ended; `None`: it took too long, and was given up meanwhile.
    fn attempt(
        &self,
        seat: &Seat<Client>,
        rows: usize,
        timer: Instant,
        run: impl FnOnce() -> Result<(), EngineError>,
    ) -> Option<Result<(), EngineError>> {
        let result = catch_unwind(AssertUnwindSafe(run));
        let took = timer.elapsed();
        if !seat.end() {
            return None;
        }
        let result = result.unwrap_or_else(|_| Err(EngineError::Failed("it panicked".to_owned())));
        match &result {
            Ok(()) => self.record(rows, took),
            Err(EngineError::Unfit(error)) => tracing::debug!(%error, "the model refuses a batch"),
            Err(EngineError::Failed(error)) => tracing::error!(%error, "the engine failed"),
        }
        Some(result)
    }

    fn record(&self, rows: usize, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let old = self.expected.load(Ordering::Relaxed);
        // Down at once, up slowly: a run that was slow once must not refuse requests that would be in time. The first
        // run tells little, for it warms up.
        let new = if old == 0 { nanos / 4 } else { nanos.min(old.saturating_add(old / 4 + 1)) };
        // What all cores read is written when it tells something new.
        if new.abs_diff(old) > old / 8 {
            self.expected.store(new, Ordering::Relaxed);
        }
        if nanos > self.longest.load(Ordering::Relaxed) {
            self.longest.fetch_max(nanos, Ordering::Relaxed);
        }
        self.counted.ran(rows, took);
    }
}

/// Looks after engines that hang, until the server ends.
fn watch(workers: &Weak<Workers>, hang: Duration) {
    loop {
        std::thread::sleep((hang / 4).min(Duration::from_secs(1)));
        match workers.upgrade() {
            Some(workers) if !workers.state().stopped => workers.relieve(hang),
            _ => return,
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
