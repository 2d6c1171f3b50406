//! The threads that carry the wire. Each has a runtime of its own, and a connection stays with one of them for life: nothing
//! of a request is handed from thread to thread, unless its model runs on an engine's.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    runtime::{Builder, Handle},
    sync::watch,
};

/// Most threads: quick models run on them too, so that each core may be one's.
const MOST: usize = 64;

/// Threads that carry connections, dealt out in turn.
#[derive(Clone)]
pub struct Crew {
    runtimes: Arc<[Handle]>,
    next: Arc<AtomicUsize>,
    /// The threads end with the last of these.
    _stay: Option<Arc<watch::Sender<()>>>,
}

impl Crew {
    /// A thread for each core, up to a bound.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start() -> io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(MOST);
        let (stay, gone) = watch::channel(());
        let runtimes: io::Result<Vec<Handle>> = (0..threads).map(|_| thread(gone.clone())).collect();
        Ok(Self { _stay: Some(Arc::new(stay)), ..Self::over(runtimes?) })
    }

    /// The runtime that this is called on, alone.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[must_use]
    pub fn here() -> Self {
        Self::over(vec![Handle::current()])
    }

    fn over(runtimes: Vec<Handle>) -> Self {
        Self { runtimes: runtimes.into(), next: Arc::default(), _stay: None }
    }

    /// The runtime for the next connection.
    #[must_use]
    pub fn next(&self) -> &Handle {
        &self.runtimes[self.next.fetch_add(1, Ordering::Relaxed) % self.runtimes.len()]
    }
}

/// Starts a thread with its runtime.
fn thread(mut gone: watch::Receiver<()>) -> io::Result<Handle> {
    let runtime =
        Builder::new_current_thread().max_blocking_threads(4).thread_stack_size(1 << 20).enable_all().build()?;
    let handle = runtime.handle().clone();
    let run = move || {
        // Nothing is ever sent: it fails when the crew is no more.
        let _ = runtime.block_on(gone.changed());
    };
    std::thread::Builder::new().name("wire".to_owned()).stack_size(1 << 20).spawn(run)?;
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_dealt_out_in_turn_and_threads_end_with_the_crew() {
        let crew = Crew::start().unwrap();
        let threads = crew.runtimes.len();
        let mut names = std::collections::HashSet::new();
        for _ in 0..threads * 2 {
            names.insert(crew.next().spawn(async { std::thread::current().id() }).await.unwrap());
        }
        assert_eq!(names.len(), threads);
        let stuck = crew.next().spawn(std::future::pending::<()>());
        drop(crew);
        assert!(stuck.await.unwrap_err().is_cancelled());
    }
}
