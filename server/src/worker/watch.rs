//! Engines that hang: their batches are failed, and others take their place.

use super::Workers;
use crate::{
    answers,
    seat::{Seat, Waiting},
};
use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

/// A run hangs only if it takes so many times as long as the longest that ended.
const SLOWER: u32 = 20;

/// Looks after engines that hang, until the server ends.
pub fn watch(workers: &Weak<Workers>, hang: Duration) {
    loop {
        std::thread::sleep((hang / 4).min(Duration::from_secs(1)));
        match workers.upgrade() {
            Some(workers) if !workers.state().stopped => workers.relieve(hang),
            _ => return,
        }
    }
}

impl Workers {
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
}
