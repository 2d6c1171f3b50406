//! When requests of an open loop are due: at random, as those of many callers are. A thread of its own sleeps until then, for
//! the runtime's timers are as coarse as a millisecond.

use anyhow::Result;
use nix::sys::prctl;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{
    Mutex,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// Times at which requests are due, taken by whichever client is free.
#[derive(Clone)]
pub struct Pace(Arc<Mutex<UnboundedReceiver<Instant>>>);

impl Pace {
    /// So many a second, until `end`.
    pub fn start(rate: f64, end: Instant, seed: u64) -> Result<Self> {
        let (sender, receiver) = unbounded_channel();
        std::thread::Builder::new().spawn(move || keep(rate, end, seed, &sender))?;
        Ok(Self(Arc::new(Mutex::new(receiver))))
    }

    /// When the next request is due, once it is; `None`: there are no more.
    pub async fn due(&self) -> Option<Instant> {
        self.0.lock().await.recv().await
    }
}

/// Sends each time when it has come.
fn keep(rate: f64, end: Instant, seed: u64, sender: &UnboundedSender<Instant>) {
    // The kernel wakes sleepers together to save power, unless it is asked not to; then a wake-up is late, and counted.
    let _ = prctl::set_timerslack(1);
    let mut random = StdRng::seed_from_u64(seed);
    let mut due = Instant::now();
    while due < end {
        let uniform: f64 = random.random_range(f64::MIN_POSITIVE..1.0);
        due += Duration::from_secs_f64(-uniform.ln() / rate);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if sender.send(due).is_err() {
            return;
        }
    }
}
