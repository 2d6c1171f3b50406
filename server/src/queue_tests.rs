//! The queue's order, bounds and losses, by tables and by random traffic.

use super::*;
use proptest::prelude::*;

#[derive(Debug)]
struct Job {
    id: usize,
    gone: bool,
}

impl Work for Job {
    fn gone(&self) -> bool {
        self.gone
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(now: u64, run: u64) -> Moment {
    Moment { now: ms(now), run: ms(run), rows: usize::MAX }
}

fn entry(id: usize, lane: usize, rows: usize, since: Time) -> Entry<Job> {
    Entry { lane, shape: vec![vec![2]], rows, bytes: 10, since, deadline: ms(1_000_000), work: Job { id, gone: false } }
}

const BOUNDS: Bounds = Bounds { entries: 8, bytes: 1_000, rows: 4, delay: Duration::ZERO };

fn ids(next: Next<Job>) -> Vec<usize> {
    match next {
        Next::Batch(batch) => batch.iter().map(|entry| entry.work.id).collect(),
        Next::Wait(_) => Vec::new(),
    }
}

#[test]
fn urgent_lanes_go_first_and_old_ones_catch_up() {
    let mut queue = Queue::new(Bounds { rows: 1, ..BOUNDS });
    queue.push(entry(1, 2, 1, ms(0))).unwrap();
    queue.push(entry(2, 0, 1, ms(100))).unwrap();
    assert_eq!(ids(queue.next(at(100, 0), &mut Vec::new())), [2]);
    queue.push(entry(3, 0, 1, ms(1_700))).unwrap();
    assert_eq!(ids(queue.next(at(1_700, 0), &mut Vec::new())), [1], "it waited for three lanes");
}

#[test]
fn another_shape_does_not_end_a_batch() {
    let mut queue = Queue::new(BOUNDS);
    queue.push(entry(1, 1, 1, ms(0))).unwrap();
    queue.push(Entry { shape: vec![vec![3]], ..entry(2, 1, 1, ms(1)) }).unwrap();
    queue.push(entry(3, 1, 1, ms(2))).unwrap();
    assert_eq!(ids(queue.next(at(3, 0), &mut Vec::new())), [1, 3]);
    assert_eq!(ids(queue.next(at(3, 0), &mut Vec::new())), [2]);
}

#[test]
fn late_and_gone_entries_never_run() {
    let mut queue = Queue::new(BOUNDS);
    queue.push(Entry { deadline: ms(10), ..entry(1, 1, 1, ms(0)) }).unwrap();
    queue.push(Entry { work: Job { id: 2, gone: true }, ..entry(2, 1, 1, ms(0)) }).unwrap();
    queue.push(entry(3, 1, 1, ms(0))).unwrap();
    let mut late = Vec::new();
    assert_eq!(ids(queue.next(at(8, 5), &mut late)), [3], "8 ms and a run of 5 ms are past 10 ms");
    assert_eq!(late.len(), 1);
    assert!(queue.is_empty());
}

#[test]
fn full_means_full_until_a_client_goes() {
    let mut queue = Queue::new(Bounds { entries: 2, ..BOUNDS });
    queue.push(entry(1, 1, 1, ms(0))).unwrap();
    queue.push(Entry { work: Job { id: 2, gone: true }, ..entry(2, 1, 1, ms(0)) }).unwrap();
    queue.push(entry(3, 1, 1, ms(0))).unwrap();
    assert!(queue.push(entry(4, 1, 1, ms(0))).is_err());
    let mut queue = Queue::new(Bounds { bytes: 15, ..BOUNDS });
    queue.push(entry(1, 1, 1, ms(0))).unwrap();
    assert!(queue.push(entry(2, 1, 1, ms(0))).is_err());
}

#[test]
fn a_delay_waits_until_the_batch_is_full_or_due() {
    let mut queue = Queue::new(Bounds { delay: ms(5), ..BOUNDS });
    queue.push(entry(1, 1, 3, ms(0))).unwrap();
    assert!(matches!(queue.next(at(2, 0), &mut Vec::new()), Next::Wait(Some(at)) if at == ms(5)));
    queue.push(entry(2, 1, 1, ms(3))).unwrap();
    assert_eq!(ids(queue.next(at(3, 0), &mut Vec::new())), [1, 2]);
    queue.push(entry(3, 1, 1, ms(10))).unwrap();
    assert_eq!(ids(queue.next(at(15, 0), &mut Vec::new())), [3]);
}

#[test]
fn a_batch_is_as_large_as_is_best_now() {
    let mut queue = Queue::new(Bounds { delay: ms(5), ..BOUNDS });
    (1..=4).for_each(|id| queue.push(entry(id, 1, 1, ms(0))).unwrap());
    assert_eq!(
        ids(queue.next(Moment { rows: 2, ..at(0, 0) }, &mut Vec::new())),
        [1, 2],
        "it is full, and waits no more"
    );
    queue.push(entry(5, 0, 3, ms(0))).unwrap();
    assert_eq!(ids(queue.next(Moment { rows: 2, ..at(5, 0) }, &mut Vec::new())), [5], "a request is not cut");
}

proptest! {
    #[test]
    fn every_entry_leaves_just_once(steps in proptest::collection::vec((0usize..4, 1usize..4, 0usize..2, any::<bool>()), 1..60)) {
        let mut queue = Queue::new(BOUNDS);
        let (mut pushed, mut left) = (Vec::new(), Vec::new());
        for (id, (lane, rows, shape, take)) in steps.into_iter().enumerate() {
            let now = ms(id as u64);
            if queue.push(Entry { shape: vec![vec![shape]], ..entry(id, lane, rows, now) }).is_ok() {
                pushed.push(id);
            }
            prop_assert!(queue.len() <= BOUNDS.entries);
            prop_assert_eq!(queue.rows(), queue.lanes.iter().flatten().map(|entry| entry.rows).sum::<usize>());
            if take && let Next::Batch(batch) = queue.next(Moment { now, run: ms(0), rows: usize::MAX }, &mut Vec::new()) {
                prop_assert!(batch.iter().map(|entry| entry.rows).sum::<usize>() <= BOUNDS.rows);
                prop_assert!(batch.iter().all(|entry| entry.shape == batch[0].shape));
                left.extend(batch.iter().map(|entry| entry.work.id));
            }
        }
        left.extend(queue.drain().iter().map(|entry| entry.work.id));
        left.sort_unstable();
        prop_assert_eq!(left, pushed);
    }
}
