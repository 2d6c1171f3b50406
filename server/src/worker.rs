//! Engine threads: each owns one session, takes batches from the queue, and sends the answers where they belong.

use crate::{
    batch,
    engine::Engine,
    error::{Error, Kind},
    metrics::Metrics,
    protocol::tensor::Tensor,
    queue::{Bounds, Entry, Moment, Next, Queue, Time, Work},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A lone request runs on the caller's thread if the model is faster than this: the hand-over costs 20 µs.
const INLINE: Duration = Duration::from_micros(200);

/// One answer to one request; most requests get one, some models give several.
#[derive(Debug)]
pub struct Answer {
    /// Output tensors of this request's rows.
    pub outputs: Vec<Tensor>,
    /// Time in the queue.
    pub queued: Duration,
    /// Time in the engine so far.
    pub computed: Duration,
}

/// Answers as they come; the end of the channel is the end of the answer.
pub type Answers = UnboundedReceiver<Result<Answer, Error>>;

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
    wake: Condvar,
    engines: Vec<Mutex<Box<dyn Engine>>>,
    start: Instant,
    /// Time that a run takes at least, in nanoseconds, from the runs so far; 0: none yet.
    expected: AtomicU64,
    batches: bool,
    inline: bool,
    buckets: Vec<usize>,
    metrics: Arc<Metrics>,
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
    /// Batch sizes that the engine is prepared for.
    pub buckets: Vec<usize>,
    /// Lone requests of fast models may run on the caller's thread: only where the engine is the CPU.
    pub inline: bool,
}

impl Workers {
    /// Starts one thread for each engine.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        engines: Vec<Box<dyn Engine>>,
        options: WorkOptions,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<(Arc<Self>, Vec<JoinHandle<()>>)> {
        let batches = engines.first().is_some_and(|engine| engine.signature().batches());
        let workers = Arc::new(Self {
            queue: Mutex::new(State { queue: Queue::new(options.bounds), stopped: false }),
            wake: Condvar::new(),
            engines: engines.into_iter().map(Mutex::new).collect(),
            start: Instant::now(),
            expected: AtomicU64::new(0),
            batches,
            inline: options.inline && options.bounds.delay.is_zero(),
            buckets: options.buckets,
            metrics,
        });
        let threads: Result<Vec<_>, _> = (0..workers.engines.len())
            .map(|at| {
                let workers = Arc::clone(&workers);
                std::thread::Builder::new().name(format!("engine-{at}")).spawn(move || workers.serve(at))
            })
            .collect();
        Ok((workers, threads?))
    }

    /// Entries that wait.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.state().queue.len()
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
        let expected = self.expected();
        if self.inline
            && !expected.is_zero()
            && expected < INLINE
            && self.depth() == 0
            && let Some(mut engine) = self.engines.iter().find_map(|engine| engine.try_lock().ok())
        {
            self.run(&mut **engine, vec![entry]);
            return Ok(receiver);
        }
        self.state().queue.push(entry).map_err(|_| Error::refused(Kind::Exhausted, "the queue is full"))?;
        self.wake.notify_one();
        Ok(receiver)
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

    fn serve(&self, at: usize) {
        while let Some(batch) = self.next_batch() {
            let mut engine = self.engines[at].lock().unwrap_or_else(PoisonError::into_inner);
            self.run(&mut **engine, batch);
        }
    }

    /// Waits for a batch; `None`: the server ends.
    fn next_batch(&self) -> Option<Vec<Entry<Job>>> {
        let mut state = self.state();
        loop {
            let mut late = Vec::new();
            let next = state.queue.next(Moment { now: self.now(), run: self.expected() }, &mut late);
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

    fn run(&self, engine: &mut dyn Engine, entries: Vec<Entry<Job>>) {
        let begun = self.now();
        let mut requests = Vec::with_capacity(entries.len());
        let mut clients = Vec::with_capacity(entries.len());
        let mut rows = 0;
        for entry in entries {
            let queued = begun.saturating_sub(entry.since);
            self.metrics.queue_duration.observe(queued.as_secs_f64());
            clients.push(Client { from: rows, rows: entry.rows, queued, answers: entry.work.answers });
            requests.push(entry.work.inputs);
            rows += entry.rows;
        }
        let padded = if self.batches { batch::bucket(rows, &self.buckets) } else { rows };
        let inputs = if self.batches { batch::concat(requests, padded) } else { requests.pop() };
        let Some(inputs) = inputs else {
            return fail(&clients, "the requests don't fit each other");
        };
        let timer = Instant::now();
        let whole = clients.len() == 1 && padded == rows;
        let result = catch_unwind(AssertUnwindSafe(|| {
            engine.run(&inputs, &mut |outputs| deliver(&clients, outputs, whole, timer.elapsed()))
        }));
        let took = timer.elapsed();
        match result {
            Ok(Ok(())) => self.record(rows, took),
            Ok(Err(error)) => {
                tracing::error!(%error, "the engine failed");
                fail(&clients, "the engine failed on this request");
            }
            Err(_) => {
                tracing::error!("the engine panicked");
                fail(&clients, "the engine failed on this request");
            }
        }
    }

    fn record(&self, rows: usize, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let old = self.expected.load(Ordering::Relaxed);
        // Down at once, up slowly: a run that was slow once must not refuse requests that would be in time. The first
        // run tells little, for it warms up.
        let new = if old == 0 { nanos / 4 } else { nanos.min(old.saturating_add(old / 4 + 1)) };
        self.expected.store(new, Ordering::Relaxed);
        self.metrics.ran(rows, took);
    }
}

struct Client {
    from: usize,
    rows: usize,
    queued: Duration,
    answers: UnboundedSender<Result<Answer, Error>>,
}

fn deliver(clients: &[Client], outputs: Vec<Tensor>, whole: bool, computed: Duration) {
    if whole {
        let client = &clients[0];
        let _ = client.answers.send(Ok(Answer { outputs, queued: client.queued, computed }));
        return;
    }
    for client in clients {
        let answer = batch::split(&outputs, client.from, client.rows)
            .map(|outputs| Answer { outputs, queued: client.queued, computed })
            .ok_or_else(|| Error::new(Kind::Engine, "the model gave fewer rows than it got"));
        let _ = client.answers.send(answer);
    }
}

fn fail(clients: &[Client], message: &str) {
    for client in clients {
        let _ = client.answers.send(Err(Error::new(Kind::Engine, message)));
    }
}
