//! Values that many threads write and few read: each thread has one of its own, and a reader adds them up. No core waits for
//! another's, nor for the cache line that it is in.

use std::{
    num::NonZero,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// What can be added up.
pub trait Merge: Default {
    /// Adds `other`.
    fn merge(&mut self, other: &Self);
}

/// A lock in a cache line of its own; two of them, for processors fetch the neighbour as well.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe<T>(Mutex<T>);

impl<T> Stripe<T> {
    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One value for each core.
#[derive(Debug)]
pub struct Stripes<T>(Box<[Stripe<T>]>);

impl<T: Merge> Default for Stripes<T> {
    fn default() -> Self {
        // Engine threads write as well as those that carry the wire.
        let threads = thread::available_parallelism().map_or(1, NonZero::get) * 2;
        Self((0..threads).map(|_| Stripe::default()).collect())
    }
}

impl<T: Merge> Stripes<T> {
    /// This thread's own value. Two threads that share one take turns.
    pub fn own(&self) -> MutexGuard<'_, T> {
        self.0[number() % self.0.len()].lock()
    }

    /// All of them together.
    #[must_use]
    pub fn sum(&self) -> T {
        let mut sum = T::default();
        self.0.iter().for_each(|stripe| sum.merge(&stripe.lock()));
        sum
    }
}

/// This thread's number, in the order in which threads first ask.
fn number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OWN: usize = THREADS.fetch_add(1, Ordering::Relaxed));
    OWN.with(|own| *own)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Merge for u64 {
        fn merge(&mut self, other: &Self) {
            *self += other;
        }
    }

    #[test]
    fn nothing_that_any_thread_adds_is_lost() {
        let stripes = Stripes::<u64>::default();
        let threads = stripes.0.len() as u64 * 3;
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..1000).for_each(|_| *stripes.own() += 1));
            }
        });
        assert_eq!(stripes.sum(), threads * 1000);
    }
}
