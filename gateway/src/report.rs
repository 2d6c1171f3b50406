//! What the scaler reads: counters that only rise, by service and by backend, and the wake-up for a request that waits.

use crate::fleet::{Fleet, Service};
use millrace_crds::report::{BackendReport, GatewayReport, Histogram, LATENCY_BOUNDS, RoutedReport, ServiceReport};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// A load that comes to twice what was last told, and so much more, is told at once.
const SURGE: u64 = 8;
/// Least time between two reports that a rising load hurries.
const SURGES: Duration = Duration::from_millis(250);
/// A replica that came into the table so long ago is no news.
const FRESH: Duration = Duration::from_secs(30);

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
    /// Requests here, in flight or waiting, when last told.
    told: AtomicU64,
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

    fn level(&self) -> u64 {
        self.in_flight.load(Relaxed).saturating_add(self.held.load(Relaxed))
    }

    /// Whether far more requests are here than were last told; once for each such rise.
    #[must_use]
    pub fn surges(&self) -> bool {
        let (level, told) = (self.level(), self.told.load(Relaxed));
        level >= told.saturating_mul(2).saturating_add(SURGE)
            && self.told.compare_exchange(told, level, Relaxed, Relaxed).is_ok()
    }

    /// Time since the last arrival; `None`: there was none.
    #[must_use]
    pub fn idle(&self, now: Duration) -> Option<Duration> {
        let at = self.last_arrival.load(Relaxed).checked_sub(1)?;
        Some(now.saturating_sub(Duration::from_millis(at)))
    }
}

/// Who reports, and since when.
#[derive(Debug)]
pub struct Reporter {
    name: String,
    started: Instant,
    started_at: f64,
    wake: Notify,
    /// Milliseconds of uptime of the last report that a rising load hurried, plus one; 0: none.
    surged: AtomicU64,
}

impl Reporter {
    /// For the pod of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let started_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Self {
            name: name.to_owned(),
            started: Instant::now(),
            started_at,
            wake: Notify::new(),
            surged: AtomicU64::new(0),
        }
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

    /// A service's load rises fast: the same, but not again and again.
    pub fn surge(&self) {
        let now = u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let rests = |last: u64| last > 0 && Duration::from_millis(now.saturating_sub(last)) < SURGES;
        if self.surged.fetch_update(Relaxed, Relaxed, |last| (!rests(last)).then_some(now)).is_ok() {
            self.wake();
        }
    }

    /// Waits until a request is newly held or a load surges, or until the time is over; whether it was cut short.
    pub async fn wait(&self, most: Duration) -> bool {
        tokio::time::timeout(most, self.wake.notified()).await.is_ok()
    }

    /// The report; `urgent` if something has hurried it.
    #[must_use]
    pub fn report(&self, fleet: &Fleet, urgent: bool) -> GatewayReport {
        let live = fleet.load();
        let now = self.uptime();
        let services = live.services.values().map(|service| {
            let id = &service.route.id;
            let counters = &service.state.counters;
            counters.told.store(counters.level(), Relaxed);
            ServiceReport {
                namespace: id.namespace.clone(),
                name: id.name.clone(),
                arrivals: counters.arrivals.load(Relaxed),
                completed: counters.completed.load(Relaxed),
                failed: counters.failed.load(Relaxed),
                in_flight: counters.in_flight.load(Relaxed),
                held: counters.held.load(Relaxed),
                idle_seconds: counters.idle(now).map(|idle| idle.as_secs_f64()),
                latency: counters.latency.read(),
                backends: service.state.backends().into_iter().map(backend).collect(),
                routed: routed(service, self.started_at + now.as_secs_f64()),
            }
        });
        GatewayReport {
            gateway: self.name.clone(),
            started_at: self.started_at,
            generation: live.generation,
            urgent,
            services: services.collect(),
        }
    }
}

/// Replicas that came into the table lately; `now` in seconds since the epoch.
fn routed(service: &Service, now: f64) -> Vec<RoutedReport> {
    let ages = service.replicas.iter().map(|replica| (replica, replica.since.elapsed()));
    let fresh = ages.filter(|(_, age)| *age < FRESH);
    fresh
        .map(|(replica, age)| RoutedReport { pod: replica.endpoint.uid.clone(), at: now - age.as_secs_f64() })
        .collect()
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
        assert_eq!(counters.idle(Duration::from_secs(9)), Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_surge_is_a_load_that_doubles_and_more() {
        let counters = Counters::default();
        let arrive = |count| (0..count).filter(|_| (counters.arrive(Duration::ZERO), counters.surges()).1).count();
        assert_eq!(arrive(7), 0, "a few requests are none");
        assert_eq!(arrive(1), 1);
        assert_eq!(arrive(15), 0, "8 were told, so 24 are the next");
        assert_eq!(arrive(1), 1);
        counters.held.store(40, Relaxed);
        assert!(counters.surges(), "who waits is here too");
    }

    #[tokio::test]
    async fn surges_in_a_row_are_one() {
        let reporter = Reporter::new("gateway-0");
        reporter.surge();
        assert!(reporter.wait(Duration::from_secs(5)).await);
        reporter.surge();
        assert!(!reporter.wait(Duration::from_millis(1)).await);
        reporter.wake();
        assert!(reporter.wait(Duration::from_secs(5)).await, "a request that is newly held is never late");
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
