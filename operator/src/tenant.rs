//! The status of Tenants: which namespaces each holds.

use crate::plan::support;
use crate::plan::tenancy::{age, claims, holder, list};
use crate::status::settle;
use kube::{Resource, ResourceExt};
use millrace_crds::conditions::{ACCEPTED, FULLY_SUPPORTED, reason};
use millrace_crds::{Condition, ConditionStatus, Tenant, TenantStatus};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The status of a tenant, given all tenants and the labels of all namespaces.
#[must_use]
pub fn status(
    tenant: &Tenant,
    tenants: &[Arc<Tenant>],
    namespaces: &BTreeMap<String, BTreeMap<String, String>>,
    now: &str,
) -> TenantStatus {
    let mine =
        |labels: &BTreeMap<String, String>| holder(tenants, labels).is_some_and(|holder| holder.uid() == tenant.uid());
    let claimed: Vec<_> = namespaces.iter().filter(|(_, labels)| claims(tenant, labels)).collect();
    let (held, lost): (Vec<_>, Vec<_>) = claimed.into_iter().partition(|(_, labels)| mine(labels));
    let (status, reason, message) = verdict(tenant, tenants, &lost);
    let named = support::unsupported(&tenant.spec, support::TENANT).named;
    let mut conditions = vec![condition(ACCEPTED, status, reason, message)];
    conditions.push(if named.is_empty() {
        condition(
            FULLY_SUPPORTED,
            ConditionStatus::True,
            reason::SUPPORTED,
            "every field in use is acted upon".to_owned(),
        )
    } else {
        condition(
            FULLY_SUPPORTED,
            ConditionStatus::False,
            reason::FIELDS_WITHOUT_EFFECT,
            format!("without effect in this release: {}", list(&named)),
        )
    });
    let old = tenant.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    settle(&mut conditions, old, tenant.meta().generation, now);
    TenantStatus {
        observed_generation: tenant.meta().generation,
        namespaces: u32::try_from(held.len()).unwrap_or(u32::MAX),
        conditions,
    }
}

type Claimed<'n> = (&'n String, &'n BTreeMap<String, String>);

fn verdict(tenant: &Tenant, tenants: &[Arc<Tenant>], lost: &[Claimed<'_>]) -> (ConditionStatus, &'static str, String) {
    let refused = support::unsupported(&tenant.spec, support::TENANT).refused;
    if !refused.is_empty() {
        let message = format!(
            "this release doesn't enforce {}: remove it; until then no service of the tenant is taken on",
            list(&refused)
        );
        return (ConditionStatus::False, reason::NOT_SUPPORTED, message);
    }
    if lost.is_empty() {
        return (ConditionStatus::True, reason::ACCEPTED, "the tenant holds every namespace that it claims".to_owned());
    }
    let others = lost.iter().filter_map(|(name, labels)| {
        let older = tenants.iter().filter(|other| claims(other, labels)).min_by_key(|other| age(other))?;
        Some(format!("{name} belongs to the older Tenant {}", older.name_any()))
    });
    (ConditionStatus::False, reason::CONFLICT, list(others))
}

/// A condition that is yet to be stamped.
pub(crate) fn condition(kind: &str, status: ConditionStatus, reason: &str, message: String) -> Condition {
    Condition {
        type_: kind.into(),
        status,
        reason: reason.into(),
        message,
        observed_generation: None,
        last_transition_time: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tenant;

    #[test]
    fn the_younger_of_two_is_told_of_the_conflict() {
        let tenants: Vec<_> = [("old", "2026-01-01T00:00:00Z"), ("young", "2026-02-01T00:00:00Z")]
            .map(|(name, at)| Arc::new(tenant(name, at)))
            .into();
        let namespaces = BTreeMap::from([
            ("team-a".to_owned(), BTreeMap::from([("tenant".to_owned(), "team-a".to_owned())])),
            ("other".to_owned(), BTreeMap::new()),
        ]);
        let of = |n: usize| status(&tenants[n], &tenants, &namespaces, "now");
        assert_eq!((of(0).namespaces, of(0).conditions[0].status), (1, ConditionStatus::True));
        assert_eq!((of(1).namespaces, of(1).conditions[0].reason.as_str()), (0, reason::CONFLICT));
        assert!(of(1).conditions[0].message.contains("team-a belongs to the older Tenant old"));
    }
}
