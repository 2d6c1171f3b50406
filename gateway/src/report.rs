//! What the scaler reads: counters that only rise, by service and by backend, and the wake-up for a request that waits.

use crate::fleet::Fleet;
use millrace_crds::report::{BackendReport, GatewayReport, Histogram, LATENCY_BOUNDS, ServiceReport};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// A histogram over [`LATENCY_BOUNDS`].
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; LATENCY_BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Latency {
    /// Counts one.
    pub fn record(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = LATENCY_BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(LATENCY_BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.nanos.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// As it is reported.
    #[must_use]
    pub fn read(&self) -> Histogram {
        Histogram {
            buckets: self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect(),
            sum: Duration::from_nanos(self.nanos.load(Relaxed)).as_secs_f64(),
        }
    }
}

/// Counters of a service, or of a backend.
#[derive(Debug, Default)]
pub struct Counters {
    /// Came in.
    pub arrivals: AtomicU64,
    /// Ended.
    pub completed: AtomicU64,
    /// Of those, failed by us.
    pub failed: AtomicU64,
    /// Admitted, not waiting, not ended.
    pub in_flight: AtomicU64,
    /// Waiting for a replica.
    pub held: AtomicU64,
    /// Milliseconds from the process's start to the last arrival, plus one; 0: none.
    last_arrival: AtomicU64,
    /// Times.
    pub latency: Latency,
}

impl Counters {
    /// Counts an arrival at a time since the process's start.
    pub fn arrive(&self, at: Duration) {
        self.arrivals.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        self.last_arrival.fetch_max(u64::try_from(at.as_millis()).unwrap_or(u64::MAX - 1) + 1, Relaxed);
    }

    /// Counts an end.
    pub fn end(&self, time: Duration, failed: bool) {
        self.in_flight.fetch_sub(1, Relaxed);
        self.completed.fetch_add(1, Relaxed);
        self.failed.fetch_add(u64::from(failed), Relaxed);
        self.latency.record(time);
    }

    fn idle(&self, now: Duration) -> Option<f64> {
        let at = self.last_arrival.load(Relaxed).checked_sub(1)?;
        Some(now.saturating_sub(Duration::from_millis(at)).as_secs_f64())
    }
}

/// Who reports, and since when.
#[derive(Debug)]
pub struct Reporter {
    name: String,
    started: Instant,
    started_at: f64,
    wake: Notify,
}

impl Reporter {
    /// For the pod of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let started_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Self { name: name.to_owned(), started: Instant::now(), started_at, wake: Notify::new() }
    }

    /// Time since the start.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// A request is newly held. Wake-ups that nobody has waited for yet are one: the next report is answered at once.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until a request is newly held, or the time is over.
    pub async fn wait(&self, most: Duration) {
        let _ = tokio::time::timeout(most, self.wake.notified()).await;
    }

    /// The report.
    #[must_use]
    pub fn report(&self, fleet: &Fleet) -> GatewayReport {
        let live = fleet.load();
        let now = self.uptime();
        let services = live.services.values().map(|service| {
            let id = &service.route.id;
            let counters = &service.state.counters;
            ServiceReport {
                namespace: id.namespace.clone(),
                name: id.name.clone(),
                arrivals: counters.arrivals.load(Relaxed),
                completed: counters.completed.load(Relaxed),
                failed: counters.failed.load(Relaxed),
                in_flight: counters.in_flight.load(Relaxed),
                held: counters.held.load(Relaxed),
                idle_seconds: counters.idle(now),
                latency: counters.latency.read(),
                backends: service.state.backends().into_iter().map(backend).collect(),
            }
        });
        GatewayReport {
            gateway: self.name.clone(),
            started_at: self.started_at,
            generation: live.generation,
            services: services.collect(),
        }
    }
}

fn backend(((revision, pool), counters): ((String, String), std::sync::Arc<Counters>)) -> BackendReport {
    BackendReport {
        revision,
        pool,
        completed: counters.completed.load(Relaxed),
        failed: counters.failed.load(Relaxed),
        in_flight: counters.in_flight.load(Relaxed),
        latency: counters.latency.read(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets() {
        let latency = Latency::default();
        for millis in [1, 2, 36, 60_000] {
            latency.record(Duration::from_millis(millis));
        }
        let read = latency.read();
        assert_eq!(read.buckets.len(), LATENCY_BOUNDS.len() + 1);
        assert_eq!((read.buckets[0], read.buckets[1], read.buckets[6], read.buckets[16]), (1, 1, 1, 1));
        assert!((read.sum - 60.039).abs() < 1e-6);
    }

    #[test]
    fn idle_since_the_last_arrival() {
        let counters = Counters::default();
        assert_eq!(counters.idle(Duration::from_secs(9)), None);
        counters.arrive(Duration::ZERO);
        counters.arrive(Duration::from_secs(4));
        assert_eq!(counters.idle(Duration::from_secs(9)), Some(5.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_before_the_wait_isnt_lost_and_many_are_one() {
        let reporter = Reporter::new("gateway-0");
        reporter.wake();
        reporter.wake();
        let start = tokio::time::Instant::now();
        reporter.wait(Duration::from_secs(1)).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        reporter.wait(Duration::from_secs(1)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(1));
    }
}
