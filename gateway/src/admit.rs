//! A request that was let in: it counts until the last byte of its answer, whatever ends it.

use crate::fleet::{Live, Service, ServiceState, TenantState};
use crate::limit::Place;
use crate::report::Reporter;
use crate::respond::Refusal;
use std::sync::Arc;
use std::time::Instant;

/// Counts one request; dropping it counts the end.
#[derive(Debug)]
pub struct Admitted {
    /// The service's state.
    pub state: Arc<ServiceState>,
    /// The tenant's, whose limits it took.
    pub tenant: Option<Arc<TenantState>>,
    /// Whether it counts as failed by us.
    pub failed: bool,
    since: Instant,
    _places: Vec<Place>,
}

/// Takes a place with the tenant, then with the service, and counts the arrival.
///
/// # Errors
/// 429 where a limit is met.
pub fn admit(live: &Live, service: &Service, reporter: &Reporter) -> Result<Admitted, Refusal> {
    let tenant = service.route.tenant.as_ref().and_then(|name| live.tenants.get(name)).cloned();
    let mut places = Vec::with_capacity(2);
    if let Some(tenant) = &tenant {
        places.push(tenant.limiter.admit()?);
    }
    places.push(service.limiter.admit()?);
    let state = Arc::clone(&service.state);
    state.counters.arrive(reporter.uptime());
    if state.counters.surges() {
        reporter.surge();
    }
    state.earn();
    Ok(Admitted { state, tenant, failed: false, since: Instant::now(), _places: places })
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.state.counters.end(self.since.elapsed(), self.failed);
    }
}
