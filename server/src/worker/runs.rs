//! Runs of an engine: a batch of those that waited, or a lone request on the thread that brought it.

use super::{Job, Workers};
use crate::{
    answers::{self, Answer, Client},
    batch,
    engine::{Engine, EngineError},
    error::Error,
    protocol::tensor::Tensor,
    queue::Entry,
    seat::{Seat, Waiting},
};
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

impl Workers {
    pub(super) fn run(&self, seat: &Seat<Client>, engine: &mut dyn Engine, entries: Vec<Entry<Job>>) {
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
        let before = self.spent();
        let ran = self.attempt(seat, rows, timer, || {
            engine.run(&inputs, &mut |outputs| {
                // Whoever waited for an engine that hung has an answer already.
                if !seat.is_left() {
                    answers::deliver(&clients, outputs, whole, timer.elapsed());
                }
            })
        });
        match ran {
            None => {}
            Some(Ok(())) => {
                let bytes = inputs.iter().map(|tensor| tensor.data.heap_bytes()).sum();
                self.state().pace.ran(padded, bytes, self.spent().saturating_sub(before));
            }
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
    pub(super) fn run_here(
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
