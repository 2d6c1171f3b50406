//! The start and the end: when the gateway is ready, and how it goes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether new requests should be sent here.
#[derive(Debug, Default)]
pub struct Readiness {
    routes: AtomicBool,
    identity: AtomicBool,
    leaving: AtomicBool,
}

impl Readiness {
    /// There are routes, from the API server or from disk.
    pub fn routes(&self) {
        self.routes.store(true, Ordering::Release);
    }

    /// There is a client certificate.
    pub fn identity(&self) {
        self.identity.store(true, Ordering::Release);
    }

    /// It goes.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Ready, or what is missing.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.leaving.load(Ordering::Acquire) {
            Err("shutting down")
        } else if !self.routes.load(Ordering::Acquire) {
            Err("no routes yet")
        } else if !self.identity.load(Ordering::Acquire) {
            Err("no client certificate yet")
        } else {
            Ok(())
        }
    }
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// If the system gives no signal handlers.
pub async fn asked_to_stop() -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Waits until a switch is turned on.
pub async fn turned_on(mut switch: watch::Receiver<bool>) {
    // A sender that is gone means the end as well.
    let _ = switch.wait_for(|on| *on).await;
}

/// Takes readiness away, waits until that is known in the cluster, then turns the switch.
pub async fn leave(readiness: &Readiness, switch: &watch::Sender<bool>, delay: Duration) {
    readiness.leave();
    tokio::time::sleep(delay).await;
    switch.send_replace(true);
}
