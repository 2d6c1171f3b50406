//! The queue before the engine: bounded, with lanes that age, deadlines, and no clock of its own (time is a parameter).

use std::{collections::VecDeque, time::Duration};

/// Lanes, most urgent first: three priorities of live traffic, and one below them for work of our own.
pub const LANES: usize = 4;
/// An entry that waited for this long counts as one lane more urgent, so that no lane starves.
pub const AGE: Duration = Duration::from_millis(500);
/// How far a batch looks beyond entries that don't fit it.
const LOOK: usize = 256;

/// Time since some start.
pub type Time = Duration;

/// Something that waits.
#[derive(Debug)]
pub struct Entry<W> {
    /// 0 is the most urgent; at most `LANES - 1`.
    pub lane: usize,
    /// Entries of one shape can share a batch.
    pub shape: Vec<Vec<usize>>,
    /// Rows that it adds to a batch.
    pub rows: usize,
    /// Bytes that it holds.
    pub bytes: usize,
    /// When it came.
    pub since: Time,
    /// When its answer is of no use any more.
    pub deadline: Time,
    /// The work itself.
    pub work: W,
}

/// Work whose client may have gone.
pub trait Work {
    /// Nobody waits for the answer.
    fn gone(&self) -> bool;
}

/// Bounds of a queue, and of the batches that leave it.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Entries that wait at most.
    pub entries: usize,
    /// Bytes that wait at most.
    pub bytes: usize,
    /// Rows in a batch at most.
    pub rows: usize,
    /// How long a batch waits for more rows.
    pub delay: Duration,
}

/// When a question is asked, how long an answer takes, and how large a batch should be.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Now.
    pub now: Time,
    /// Time that a run takes.
    pub run: Duration,
    /// Rows that the batch should have at most; the queue's bound holds as well.
    pub rows: usize,
}

/// What the caller should do next.
#[derive(Debug)]
pub enum Next<W> {
    /// Run these together.
    Batch(Vec<Entry<W>>),
    /// Nothing yet: ask again when an entry comes, or at the given time.
    Wait(Option<Time>),
}

/// The queue.
#[derive(Debug)]
pub struct Queue<W> {
    bounds: Bounds,
    lanes: [VecDeque<Entry<W>>; LANES],
    entries: usize,
    rows: usize,
    bytes: usize,
}

impl<W: Work> Queue<W> {
    /// An empty queue.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, lanes: std::array::from_fn(|_| VecDeque::new()), entries: 0, rows: 0, bytes: 0 }
    }

    /// Entries that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Their rows together.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Adds an entry. A full queue first forgets those whose clients have gone.
    ///
    /// # Errors
    /// The entry, if the queue is full.
    pub fn push(&mut self, entry: Entry<W>) -> Result<(), Entry<W>> {
        let full = |queue: &Self| {
            queue.entries >= queue.bounds.entries || queue.bytes.saturating_add(entry.bytes) > queue.bounds.bytes
        };
        if full(self) {
            self.forget_gone();
        }
        if full(self) {
            return Err(entry);
        }
        self.count(&entry);
        self.lanes[entry.lane.min(LANES - 1)].push_back(entry);
        Ok(())
    }

    /// The next batch. Entries that can't be done in time go to `late`; those whose clients have gone vanish.
    pub fn next(&mut self, at: Moment, late: &mut Vec<Entry<W>>) -> Next<W> {
        let Some(first) = self.pop_first(at, late) else { return Next::Wait(None) };
        let ready = first.since.saturating_add(self.bounds.delay);
        let most = self.bounds.rows.min(at.rows);
        let mut rows = first.rows;
        let mut batch = vec![first];
        while rows < most {
            let shape = batch[0].shape.clone();
            let Some(entry) = self.pop_like(&shape, most - rows, at, late) else { break };
            rows += entry.rows;
            batch.push(entry);
        }
        if rows < most && at.now < ready {
            // It may still grow: put it back in its order.
            for entry in batch.into_iter().rev() {
                self.count(&entry);
                self.lanes[entry.lane.min(LANES - 1)].push_front(entry);
            }
            return Next::Wait(Some(ready));
        }
        Next::Batch(batch)
    }

    /// Takes everything out, for a server that ends.
    pub fn drain(&mut self) -> Vec<Entry<W>> {
        (self.entries, self.rows, self.bytes) = (0, 0, 0);
        self.lanes.iter_mut().flat_map(std::mem::take).collect()
    }

    fn count(&mut self, entry: &Entry<W>) {
        self.entries += 1;
        self.rows += entry.rows;
        self.bytes += entry.bytes;
    }

    fn pop_first(&mut self, moment: Moment, late: &mut Vec<Entry<W>>) -> Option<Entry<W>> {
        loop {
            let lane = (0..LANES).filter(|&lane| !self.lanes[lane].is_empty()).min_by_key(|&lane| {
                let front = &self.lanes[lane][0];
                (urgency(lane, front.since, moment.now), front.since)
            })?;
            if let Some(entry) = self.take((lane, 0), moment, late) {
                return Some(entry);
            }
        }
    }

    fn pop_like(
        &mut self,
        shape: &[Vec<usize>],
        room: usize,
        moment: Moment,
        late: &mut Vec<Entry<W>>,
    ) -> Option<Entry<W>> {
        loop {
            let fits = |entry: &Entry<W>| entry.rows <= room && entry.shape == shape;
            let candidate = |lane: usize| self.lanes[lane].iter().take(LOOK).position(fits).map(|at| (lane, at));
            let (lane, at) = (0..LANES).filter_map(candidate).min_by_key(|&(lane, at)| {
                let entry = &self.lanes[lane][at];
                (urgency(lane, entry.since, moment.now), entry.since)
            })?;
            if let Some(entry) = self.take((lane, at), moment, late) {
                return Some(entry);
            }
        }
    }

    fn take(&mut self, (lane, at): (usize, usize), moment: Moment, late: &mut Vec<Entry<W>>) -> Option<Entry<W>> {
        let entry = self.lanes[lane].remove(at)?;
        self.entries -= 1;
        self.rows -= entry.rows;
        self.bytes -= entry.bytes;
        if entry.work.gone() {
            return None;
        }
        if moment.now.saturating_add(moment.run) > entry.deadline {
            late.push(entry);
            return None;
        }
        Some(entry)
    }

    fn forget_gone(&mut self) {
        for lane in &mut self.lanes {
            lane.retain(|entry| !entry.work.gone());
        }
        self.entries = self.lanes.iter().map(VecDeque::len).sum();
        self.rows = self.lanes.iter().flatten().map(|entry| entry.rows).sum();
        self.bytes = self.lanes.iter().flatten().map(|entry| entry.bytes).sum();
    }
}

/// Lower is more urgent; falls as the entry waits.
fn urgency(lane: usize, since: Time, now: Time) -> i64 {
    let steps = now.saturating_sub(since).as_millis() / AGE.as_millis().max(1);
    i64::try_from(lane).unwrap_or(i64::MAX).saturating_sub(i64::try_from(steps).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
