//! Which batch size gets most done in a second, learned from the runs themselves: it differs from model to model and from
//! machine to machine. On a GPU it is mostly the largest. On a processor a batch whose tensors leave the cache costs more for
//! each row than a smaller one, and all of its callers wait longer.

use std::time::Duration;

/// Runs of a size that are remembered. Their median is its cost: a stall says nothing of the size.
const RECENT: usize = 5;
/// Runs of a size before it is judged.
const ENOUGH: usize = 3;
/// Every so many batches a neighbour of the best size is tried, for what was true may be so no more.
const REVISIT: usize = 32;
/// A size is preferred to a larger one unless that is faster by more than this.
const EVEN: f64 = 1.02;
/// A size is tried unless the one above it is dearer than the best by more than this.
const PROMISING: f64 = 1.05;

/// Sizes and what they cost.
#[derive(Debug)]
pub struct Pace {
    sizes: Vec<Size>,
    batches: usize,
}

#[derive(Debug)]
struct Size {
    rows: usize,
    /// Seconds for each byte of input, the newest last.
    recent: Vec<f64>,
}

impl Size {
    /// `None`: too few runs to say.
    fn cost(&self) -> Option<f64> {
        let mut costs = [0.0; RECENT];
        let costs = &mut costs[..self.recent.len()];
        costs.copy_from_slice(&self.recent);
        costs.sort_unstable_by(f64::total_cmp);
        (costs.len() >= ENOUGH).then(|| costs[costs.len() / 2])
    }
}

impl Pace {
    /// For batches of so many rows at most, padded to these buckets; none: to nothing.
    #[must_use]
    pub fn new(most: usize, buckets: &[usize]) -> Self {
        let mut sizes: Vec<usize> = if buckets.is_empty() {
            std::iter::successors(Some(1_usize), |size| size.checked_mul(2)).take_while(|size| *size < most).collect()
        } else {
            buckets.iter().copied().filter(|size| *size < most).collect()
        };
        sizes.push(most);
        Self { sizes: sizes.into_iter().map(|rows| Size { rows, recent: Vec::new() }).collect(), batches: 0 }
    }

    /// Rows that the next batch should have at most, where so many wait.
    pub fn most(&mut self, waiting: usize) -> usize {
        let within = self.sizes.partition_point(|size| size.rows <= waiting);
        if within < 2 {
            return usize::MAX;
        }
        self.batches += 1;
        let mut at = best(&self.sizes[..within]);
        if self.batches.is_multiple_of(REVISIT) {
            at = if (self.batches / REVISIT).is_multiple_of(2) { at + 1 } else { at.saturating_sub(1) };
        }
        // All that wait are no more than the next size.
        if at + 1 < within { self.sizes[at].rows } else { usize::MAX }
    }

    /// A batch of so many rows and bytes of input took so long.
    pub fn ran(&mut self, rows: usize, bytes: usize, took: Duration) {
        let Some(at) = self.sizes.partition_point(|size| size.rows <= rows).checked_sub(1) else { return };
        let recent = &mut self.sizes[at].recent;
        if recent.len() == RECENT {
            recent.remove(0);
        }
        // Bytes are few where this is a number of many digits.
        #[allow(clippy::cast_precision_loss)]
        recent.push(took.as_secs_f64() / bytes.max(1) as f64);
    }
}

/// The place of the size that serves best; of one that should be tried, if there is any. Larger ones come first: all that
/// wait go together until something speaks against it.
fn best(sizes: &[Size]) -> usize {
    let (mut best, mut least, mut above) = (sizes.len().saturating_sub(1), f64::INFINITY, 0.0);
    for (at, size) in sizes.iter().enumerate().rev() {
        let Some(cost) = size.cost() else { return if above <= least * PROMISING { at } else { best } };
        if cost <= least * EVEN {
            best = at;
        }
        least = least.min(cost);
        above = cost;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs so many batches with all of `waiting` there, each row taking what `row` says of its batch; gives their sizes.
    fn sizes(pace: &mut Pace, batches: usize, waiting: usize, row: impl Fn(usize) -> u64) -> Vec<usize> {
        let mut one = || {
            let rows = pace.most(waiting).min(waiting).min(pace.sizes.last().unwrap().rows);
            pace.ran(rows, rows * 8, Duration::from_micros(row(rows) * rows as u64));
            rows
        };
        (0..batches).map(|_| one()).collect()
    }

    fn usual(mut sizes: Vec<usize>) -> usize {
        let rows = sizes.split_off(sizes.len() / 2);
        let count = |size: usize| rows.iter().filter(|rows| **rows == size).count();
        rows.iter().copied().max_by_key(|size| count(*size)).unwrap()
    }

    #[test]
    fn the_size_whose_rows_cost_least_is_found() {
        let cached = |rows: usize| if rows > 8 { 900 } else { 700 + 300 / rows as u64 };
        let mut pace = Pace::new(32, &[]);
        let chosen = sizes(&mut pace, 200, 64, cached);
        assert!(
            chosen.iter().filter(|rows| **rows > 8).count() < 10,
            "what is clearly worse is hardly tried: {chosen:?}"
        );
        assert_eq!(usual(chosen), 8, "what leaves the cache is dear");
        let gpu = |rows: usize| 1000 / rows as u64 + 1;
        assert_eq!(usual(sizes(&mut Pace::new(32, &[]), 200, 64, gpu)), 32, "a run costs the same whatever is in it");
        assert_eq!(usual(sizes(&mut Pace::new(32, &[4, 8, 32]), 200, 64, |_| 50)), 4, "the smallest of equals");
    }

    #[test]
    fn nothing_is_held_back_where_few_wait() {
        let mut pace = Pace::new(32, &[]);
        sizes(&mut pace, 100, 64, |rows| rows as u64);
        assert_eq!([pace.most(0), pace.most(1)], [usize::MAX; 2]);
        let mut gpu = Pace::new(32, &[]);
        sizes(&mut gpu, 100, 64, |rows| 1000 / rows as u64);
        assert_eq!(gpu.most(12), usize::MAX, "twelve at once, not eight and four");
        let mut odd = Pace::new(24, &[]);
        assert_eq!(usual(sizes(&mut odd, 200, 64, |rows| 1000 / rows as u64)), 24, "the bound is a size as well");
    }

    #[test]
    fn stalls_are_forgotten_and_changes_are_found() {
        let mut pace = Pace::new(16, &[]);
        let before = usual(sizes(&mut pace, 200, 32, |rows| 1000 / rows as u64 + 10));
        pace.ran(16, 128, Duration::from_secs(1));
        assert_eq!((before, pace.most(32).min(16)), (16, 16), "one run that was slow");
        assert_eq!(usual(sizes(&mut pace, 2000, 32, |rows| rows as u64 * 100)), 1, "the machine is another");
        assert_eq!(usual(sizes(&mut pace, 4000, 32, |rows| 1000 / rows as u64)), 16, "and is as it was");
    }
}
