//! The routing table: immutable, built by one pure function, swapped whole.

use crate::auth::HashedKey;
use crate::inputs::{Early, Inputs, PodInput, ServiceId, ServiceInput, TenantInput};
use millrace_crds::{Authentication, ConditionStatus, RateLimit, conditions};
use millrace_hop::limits::Limits;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

/// Longest time for a request whose service names none that can be read.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// One pod that serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The pod's UID.
    pub uid: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its revision.
    pub revision: String,
    /// Its pool.
    pub pool: String,
}

/// One service as the gateway sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The service.
    pub id: ServiceId,
    /// Its tenant, the owner of its namespace; `None`: nobody may call it.
    pub tenant: Option<String>,
    /// Whether callers without a key are let in: the service asks for it and the tenant's policy allows it.
    pub anonymous: bool,
    /// Longest time for one request.
    pub timeout: Duration,
    /// How large a request may be.
    pub limits: Limits,
    /// Limit over all callers.
    pub rate_limit: Option<RateLimit>,
    /// Revision and weight, weights above 0 only.
    pub weights: Vec<(String, u32)>,
    /// Pods of those revisions that serve.
    pub endpoints: Vec<Endpoint>,
    /// Whether a wait for a replica is useless, and why.
    pub blocked: Option<String>,
    /// Versions that have traffic.
    pub versions: Vec<i64>,
}

/// A key's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The tenant.
    pub tenant: String,
    /// Seconds since the epoch from which it is refused; `i64::MIN` if its expiry can't be read (a limit that isn't understood
    /// must not be ignored).
    pub expires: Option<i64>,
}

/// The table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Routes by service.
    pub services: BTreeMap<ServiceId, Route>,
    /// Services by bare name.
    pub by_name: BTreeMap<String, Vec<ServiceId>>,
    /// Keys by their keyed hash.
    pub keys: HashMap<HashedKey, Vec<Grant>>,
    /// Limits of tenants.
    pub tenants: BTreeMap<String, Option<RateLimit>>,
    /// Whether any service takes callers without a key.
    pub any_anonymous: bool,
}

impl Table {
    /// Makes the table of a set of inputs.
    #[must_use]
    pub fn build(inputs: &Inputs) -> Self {
        let mut table = Self::default();
        for (name, tenant) in &inputs.tenants {
            table.tenants.insert(name.clone(), tenant.rate_limit.clone());
            for key in &tenant.keys {
                let Some(hash) = HashedKey::parse(key.hash.as_str()) else { continue };
                let expires = key.expires.as_ref().map(|text| seconds(text.as_str()).unwrap_or(i64::MIN));
                table.keys.entry(hash).or_default().push(Grant { tenant: name.clone(), expires });
            }
        }
        for (namespace, services) in &inputs.services {
            let owner = owner_of(inputs, namespace);
            for (name, service) in services {
                let route = route(inputs, &ServiceId::new(namespace, name), service, owner);
                table.any_anonymous |= route.anonymous;
                table.by_name.entry(name.clone()).or_default().push(route.id.clone());
                table.services.insert(route.id.clone(), route);
            }
        }
        table
    }
}

/// The tenant that holds a namespace: of all whose labels match, the oldest; of equal age, the first by name.
#[must_use]
pub fn owner_of<'a>(inputs: &'a Inputs, namespace: &str) -> Option<(&'a str, &'a TenantInput)> {
    let labels = inputs.namespaces.get(namespace)?;
    let claims = |tenant: &TenantInput| {
        !tenant.namespaces.is_empty() && tenant.namespaces.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    inputs
        .tenants
        .iter()
        .filter(|(_, tenant)| claims(tenant))
        .min_by_key(|(name, tenant)| (tenant.created, *name))
        .or_else(|| inputs.tenants.get_key_value(&inputs.default_tenant))
        .map(|(name, tenant)| (name.as_str(), tenant))
}

fn route(inputs: &Inputs, id: &ServiceId, service: &ServiceInput, owner: Option<(&str, &TenantInput)>) -> Route {
    let weights: Vec<(String, u32)> = service
        .traffic
        .iter()
        .filter(|share| share.weight > 0)
        .map(|share| (share.revision.to_string(), share.weight))
        .collect();
    Route {
        tenant: owner.map(|(name, _)| name.to_owned()),
        anonymous: service.access.authentication == Authentication::None
            && owner.is_some_and(|(_, tenant)| tenant.allow_anonymous),
        timeout: service.access.timeout.to_std().filter(|time| !time.is_zero()).unwrap_or(DEFAULT_TIMEOUT),
        limits: Limits { bytes: service.access.max_request_bytes, json_depth: service.access.max_json_depth },
        rate_limit: service.access.rate_limit.clone(),
        endpoints: endpoints(inputs, id, &weights),
        weights,
        blocked: blocked(service),
        versions: service.traffic.iter().map(|share| share.version).collect(),
        id: id.clone(),
    }
}

fn endpoints(inputs: &Inputs, id: &ServiceId, weights: &[(String, u32)]) -> Vec<Endpoint> {
    let own = inputs.pods.get(&id.namespace).into_iter().flat_map(BTreeMap::values);
    let lent = inputs.standbys.values().filter(|standby| standby.namespace == id.namespace).map(|standby| &standby.pod);
    own.chain(lent)
        .filter(|pod| pod.service == id.name && serves(inputs, pod))
        .filter(|pod| weights.iter().any(|(revision, _)| *revision == pod.revision))
        .filter_map(|pod| {
            Some(Endpoint {
                uid: pod.uid.clone(),
                address: SocketAddr::new(pod.ip?, pod.port),
                revision: pod.revision.clone(),
                pool: pod.pool.clone(),
            })
        })
        .collect()
}

/// Kubernetes says so, or the pod starts and its server has said so itself.
fn serves(inputs: &Inputs, pod: &PodInput) -> bool {
    pod.ready || (pod.early != Early::No && inputs.vouched.contains(&pod.uid))
}

/// Why no replica will come without somebody's help: the spec isn't accepted, or the operator says that it is stuck, and
/// there is no earlier revision that it can start instead.
fn blocked(service: &ServiceInput) -> Option<String> {
    let find = |type_: &str| service.conditions.iter().find(|condition| condition.type_.as_str() == type_);
    if find(conditions::ROUTES_READY).is_some_and(|routes| routes.status == ConditionStatus::True) {
        return None;
    }
    let refused = find(conditions::ACCEPTED).filter(|accepted| accepted.status == ConditionStatus::False);
    let stalled = find(conditions::STALLED).filter(|stalled| stalled.status == ConditionStatus::True);
    let cause = refused.or(stalled)?;
    let shown = find(conditions::READY).filter(|ready| ready.status == ConditionStatus::False).unwrap_or(cause);
    Some(format!("{}: {}", shown.reason, shown.message))
}

fn seconds(rfc3339: &str) -> Option<i64> {
    rfc3339.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

#[cfg(test)]
mod tests;
