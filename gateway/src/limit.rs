//! Rate and concurrency of a service or of a tenant, for this gateway replica.
//!
//! There is one [`Limiter`] for each service and tenant of the table and none for anything that a caller can make up, so
//! their number is bounded by the table.

use crate::respond::Refusal;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota};
use millrace_crds::RateLimit;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The state of one limit.
#[derive(Debug)]
pub struct Limiter {
    spec: RateLimit,
    rate: Option<DefaultDirectRateLimiter>,
    in_flight: AtomicU32,
}

/// A place among the requests in flight; dropping it frees the place.
#[derive(Debug)]
pub struct Place(Arc<Limiter>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Limiter {
    /// From what the resource says; absent: no limit.
    #[must_use]
    pub fn new(spec: Option<&RateLimit>) -> Self {
        let spec = spec.cloned().unwrap_or_default();
        let rate = spec.requests_per_second.and_then(NonZeroU32::new).map(|rate| {
            let burst = spec.burst.and_then(NonZeroU32::new).unwrap_or(rate);
            DefaultDirectRateLimiter::direct(Quota::per_second(rate).allow_burst(burst))
        });
        Self { spec, rate, in_flight: AtomicU32::new(0) }
    }

    /// Whether it enforces this very spec.
    #[must_use]
    pub fn is(&self, spec: Option<&RateLimit>) -> bool {
        spec.map_or(self.spec == RateLimit::default(), |spec| *spec == self.spec)
    }

    /// Takes a place and one of the rate's tokens. The place comes first: a request that finds none costs no token.
    ///
    /// # Errors
    /// [`Refusal::Busy`] with the time to wait.
    pub fn admit(self: &Arc<Self>) -> Result<Place, Refusal> {
        let most = self.spec.in_flight.unwrap_or(u32::MAX);
        let taken = self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < most).then(|| n + 1));
        if taken.is_err() {
            return Err(Refusal::Busy { what: "too many requests at the same time", after: Duration::from_secs(1) });
        }
        let place = Place(Arc::clone(self));
        if let Some(rate) = &self.rate {
            rate.check().map_err(|wait| Refusal::Busy {
                what: "the request rate is above its limit",
                after: wait.wait_time_from(DefaultClock::default().now()),
            })?;
        }
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(rate: Option<u32>, burst: Option<u32>, in_flight: Option<u32>) -> Arc<Limiter> {
        Arc::new(Limiter::new(Some(&RateLimit { requests_per_second: rate, burst, in_flight })))
    }

    #[test]
    fn places_come_back() {
        let limiter = limiter(None, None, Some(2));
        let first = limiter.admit().unwrap();
        let _second = limiter.admit().unwrap();
        assert!(limiter.admit().is_err());
        drop(first);
        assert!(limiter.admit().is_ok());
    }

    #[test]
    fn burst_then_refused_without_keeping_the_place() {
        let limiter = limiter(Some(1), Some(3), Some(10));
        assert_eq!((0..20).filter(|_| limiter.admit().is_ok()).count(), 3);
        assert_eq!(limiter.in_flight.load(Ordering::Acquire), 0);
        let Err(Refusal::Busy { after, .. }) = limiter.admit() else { panic!("admitted") };
        assert!(after > Duration::ZERO && after <= Duration::from_secs(1));
    }

    #[test]
    fn none_is_no_limit() {
        let limiter = Arc::new(Limiter::new(None));
        assert!(limiter.is(None) && (0..10_000).all(|_| limiter.admit().is_ok()));
    }
}
