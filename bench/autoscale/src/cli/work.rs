//! Spreads cases over threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Runs `work` on each case, on at most two threads, and keeps the order.
pub fn spread<C: Sync, T: Send>(cases: &[C], threads: usize, work: impl Fn(&C) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::new());
    let take = || {
        while let Some((index, case)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, cases.get(i)?)))
        {
            let result = work(case);
            if let Ok(mut done) = done.lock() {
                done.push((index, result));
                eprintln!("{} of {} after {:.0} s", done.len(), cases.len(), began.elapsed().as_secs_f64());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, 2) {
            scope.spawn(take);
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
