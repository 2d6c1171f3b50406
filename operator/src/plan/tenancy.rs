//! Which tenant a namespace belongs to, and what that tenant allows.

use super::models::models;
use super::{Problem, support};
use crate::config::Settings;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, ResourceExt};
use millrace_crds::conditions::{ACCEPTED, reason};
use millrace_crds::{Authentication, InferenceServiceSpec, Priority, Tenant};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Labels of a namespace.
pub type Labels = BTreeMap<String, String>;

/// Whether a tenant's selector fits. An empty selector fits nothing.
#[must_use]
pub fn claims(tenant: &Tenant, labels: &Labels) -> bool {
    let wanted = &tenant.spec.namespaces.match_labels;
    !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key).map(String::as_str) == Some(value.as_str()))
}

/// The tenant that holds a namespace: of those that claim it the oldest, by name if of one age.
#[must_use]
pub fn holder<'t>(tenants: &'t [Arc<Tenant>], labels: &Labels) -> Option<&'t Arc<Tenant>> {
    tenants.iter().filter(|tenant| claims(tenant, labels)).min_by_key(|tenant| age(tenant))
}

/// Sorts tenants by age; a tenant without a time of creation is the youngest.
#[must_use]
pub fn age(tenant: &Tenant) -> (bool, Option<Time>, String) {
    let created = tenant.meta().creation_timestamp.clone();
    (created.is_none(), created, tenant.name_any())
}

/// The tenant of a service's namespace.
///
/// # Errors
/// No tenant claims the namespace, or the tenant itself is refused.
pub fn tenant_of<'t>(
    tenants: &'t [Arc<Tenant>],
    labels: &Labels,
    namespace: &str,
    settings: &Settings,
) -> Result<&'t Arc<Tenant>, Problem> {
    let fallback = || {
        tenants
            .iter()
            .find(|tenant| !settings.default_tenant.is_empty() && tenant.name_any() == settings.default_tenant)
    };
    let tenant = holder(tenants, labels).or_else(fallback).ok_or_else(|| {
        let message = format!(
            "no Tenant claims the namespace {namespace}: label it so that a Tenant's spec.namespaces fits, or name a default tenant in the release"
        );
        Problem::new(ACCEPTED, reason::NO_TENANT, message)
    })?;
    let refused = support::unsupported(&tenant.spec, support::TENANT).refused;
    if refused.is_empty() {
        return Ok(tenant);
    }
    let message =
        format!("the Tenant {} sets what this release doesn't enforce: {}", tenant.name_any(), list(&refused));
    Err(Problem::new(ACCEPTED, reason::NOT_SUPPORTED, message))
}

/// The claim in which servers of a namespace keep models on their nodes; absent: none.
///
/// # Errors
/// The label's value can't be a claim's name: pods would wait for it for ever.
pub fn node_cache(labels: &Labels, namespace: &str) -> Result<Option<String>, Problem> {
    let Some(claim) = labels.get(millrace_crds::labels::NODE_CACHE) else { return Ok(None) };
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if claim.chars().all(inner) && ends(claim.chars().next()) && ends(claim.chars().next_back()) {
        return Ok(Some(claim.clone()));
    }
    let message = format!(
        "the namespace {namespace} has the label {}={claim}, which can be no PersistentVolumeClaim's name: name one, or remove the label",
        millrace_crds::labels::NODE_CACHE
    );
    Err(Problem::new(ACCEPTED, reason::INVALID, message))
}

/// What the tenant's policy forbids of a spec.
#[must_use]
pub fn forbidden(spec: &InferenceServiceSpec, tenant: &Tenant) -> Vec<Problem> {
    let policy = &tenant.spec.policy;
    let mut problems = forbidden_model(spec, tenant);
    if spec.access.authentication == Authentication::None && !policy.allow_anonymous {
        problems.push(forbids("access.authentication None needs policy.allowAnonymous of the tenant".to_owned()));
    }
    if rank(spec.access.priority) < rank(policy.max_priority) {
        problems.push(forbids(format!(
            "access.priority {:?} is above the tenant's policy.maxPriority {:?}",
            spec.access.priority, policy.max_priority
        )));
    }
    problems
}

fn forbids(message: String) -> Problem {
    Problem::new(ACCEPTED, reason::FORBIDDEN_BY_POLICY, message)
}

/// What it forbids of the model: where it is from, and that it is pinned.
#[must_use]
pub fn forbidden_model(spec: &InferenceServiceSpec, tenant: &Tenant) -> Vec<Problem> {
    let policy = &tenant.spec.policy;
    let mut problems = Vec::new();
    let models = models(spec.model.as_ref(), &spec.models);
    for model in models.iter().filter(|model| !model.pinned && !policy.allow_unpinned) {
        problems.push(forbids(format!(
            "{} has no sha256: give its digest, or ask the platform for policy.allowUnpinned",
            model.called()
        )));
    }
    let allowed = |uri: &str| policy.sources.iter().any(|source| below(source.as_str(), uri));
    let variants = spec.model.iter().flat_map(|model| &model.variants).map(|variant| variant.uri.as_str());
    let uris = models.iter().map(|model| model.uri).chain(variants);
    for uri in uris.filter(|uri| !policy.sources.is_empty() && !allowed(uri)) {
        problems
            .push(forbids(format!("{uri} is below none of the tenant's policy.sources: {}", list(&policy.sources))));
    }
    problems
}

/// Lanes in their order, the most urgent first.
#[must_use]
pub fn rank(priority: Priority) -> u8 {
    match priority {
        Priority::Critical => 0,
        Priority::Standard => 1,
        Priority::Batch => 2,
    }
}

/// Whether `uri` is `source` or below it, by whole path segments: `s3://models` doesn't cover `s3://models-of-others`.
#[must_use]
pub fn below(source: &str, uri: &str) -> bool {
    uri.strip_prefix(source).is_some_and(|rest| source.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}

/// Entries with commas between them.
pub fn list<T: ToString>(entries: impl IntoIterator<Item = T>) -> String {
    entries.into_iter().map(|entry| entry.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_cover_whole_segments() {
        for (source, uri, expected) in [
            ("s3://models/", "s3://models/a.onnx", true),
            ("s3://models", "s3://models/a.onnx", true),
            ("s3://models", "s3://models-of-others/a.onnx", false),
            ("s3://models/team", "s3://models/team-b/a.onnx", false),
        ] {
            assert_eq!(below(source, uri), expected, "{source} {uri}");
        }
    }
}
