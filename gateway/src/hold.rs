//! Requests that wait for a replica: bounded for each service and tenant in number and bytes, and by each one's deadline.

use crate::report::{Counters, Reporter};
use crate::respond::Refusal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};
use std::time::Duration;

/// Bounds of a waiting room.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Requests for each service; a tenant may hold twice as many.
    pub requests: u64,
    /// Bytes for each service; a tenant may hold twice as many.
    pub bytes: u64,
}

/// Who waits now.
#[derive(Debug, Default)]
pub struct Room {
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Room {
    fn enter(&self, bytes: u64, bounds: Bounds) -> Result<(), Refusal> {
        let full = Refusal::Busy { what: "too many requests wait for a replica", after: Duration::from_secs(1) };
        let one_more = |n: u64| (n < bounds.requests).then_some(n + 1);
        if self.requests.fetch_update(AcqRel, Acquire, one_more).is_err() {
            return Err(full);
        }
        let more = |n: u64| n.checked_add(bytes).filter(|n| *n <= bounds.bytes);
        if self.bytes.fetch_update(AcqRel, Acquire, more).is_err() {
            self.requests.fetch_sub(1, AcqRel);
            return Err(full);
        }
        Ok(())
    }

    fn leave(&self, bytes: u64) {
        self.requests.fetch_sub(1, AcqRel);
        self.bytes.fetch_sub(bytes, AcqRel);
    }

    /// Requests that wait now.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.requests.load(Relaxed)
    }
}

/// A place in the rooms; dropping it leaves them.
#[derive(Debug)]
pub struct Ticket {
    service: Arc<crate::fleet::ServiceState>,
    tenant: Option<Arc<Room>>,
    bytes: u64,
}

impl Ticket {
    /// Enters the rooms of service and tenant; the first one to wait for a service wakes the scaler.
    ///
    /// # Errors
    /// If a room is full.
    pub fn take(
        service: &Arc<crate::fleet::ServiceState>,
        tenant: Option<&Arc<Room>>,
        bytes: u64,
        bounds: Bounds,
        reporter: &Reporter,
    ) -> Result<Self, Refusal> {
        service.room.enter(bytes, bounds)?;
        if let Some(room) = tenant {
            let twice = Bounds { requests: bounds.requests.saturating_mul(2), bytes: bounds.bytes.saturating_mul(2) };
            room.enter(bytes, twice).inspect_err(|_| service.room.leave(bytes))?;
        }
        let Counters { held, in_flight, .. } = &service.counters;
        in_flight.fetch_sub(1, Relaxed);
        if held.fetch_add(1, Relaxed) == 0 {
            reporter.wake();
        }
        Ok(Self { service: Arc::clone(service), tenant: tenant.cloned(), bytes })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.service.counters.held.fetch_sub(1, Relaxed);
        self.service.counters.in_flight.fetch_add(1, Relaxed);
        self.service.room.leave(self.bytes);
        if let Some(room) = &self.tenant {
            room.leave(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::ServiceState;

    #[test]
    fn bounded_in_requests_and_bytes() {
        let reporter = Reporter::new("g");
        let service = Arc::new(ServiceState::default());
        let tenant = Arc::new(Room::default());
        let bounds = Bounds { requests: 2, bytes: 100 };
        let take = |bytes| {
            service.counters.arrive(Duration::ZERO);
            Ticket::take(&service, Some(&tenant), bytes, bounds, &reporter)
        };
        let first = take(60).unwrap();
        assert!(take(60).is_err(), "bytes");
        let _second = take(40).unwrap();
        assert!(take(0).is_err(), "requests");
        drop(first);
        assert_eq!((service.room.held(), tenant.held()), (1, 1));
        assert!(take(60).is_ok());
    }

    #[test]
    fn a_full_tenant_leaves_no_trace_in_the_service() {
        let reporter = Reporter::new("g");
        let tenant = Arc::new(Room::default());
        let bounds = Bounds { requests: 1, bytes: 100 };
        let services: Vec<_> = (0..3).map(|_| Arc::new(ServiceState::default())).collect();
        let tickets: Vec<_> = services.iter().map(|s| Ticket::take(s, Some(&tenant), 1, bounds, &reporter)).collect();
        assert_eq!(tickets.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(services[2].room.held(), 0);
    }
}
