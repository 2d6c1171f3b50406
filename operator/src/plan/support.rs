//! What this release does with each field of the API: acts upon it, refuses it, or names it as without effect.
//!
//! The rule: a field that promises protection, legality or a limit, or without which the service can't run as written,
//! is refused; only fields of comfort or speed may run while a condition names them. A test walks the generated schemas
//! and holds that every field is in these tables.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// What becomes of a field that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It has its effect.
    Acted,
    /// `Accepted=False`, reason NotSupported.
    Refused,
    /// It runs, and `FullySupported=False` names the field.
    Named,
}

/// A field, or a subtree of fields, and its class.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Path below `spec`; `[]` stands for the entries of a list.
    pub path: &'static str,
    /// Its class.
    pub class: Class,
    /// A value that asks for nothing, if there is one.
    pub idle: Option<&'static str>,
}

const fn acted(path: &'static str) -> Field {
    Field { path, class: Class::Acted, idle: None }
}
const fn refused(path: &'static str) -> Field {
    Field { path, class: Class::Refused, idle: None }
}
const fn refused_unless(path: &'static str, idle: &'static str) -> Field {
    Field { path, class: Class::Refused, idle: Some(idle) }
}
const fn named(path: &'static str) -> Field {
    Field { path, class: Class::Named, idle: None }
}
const fn named_unless(path: &'static str, idle: &'static str) -> Field {
    Field { path, class: Class::Named, idle: Some(idle) }
}

/// InferenceService. The longest path that fits decides.
pub const SERVICE: &[Field] = &[
    acted("model.uri"),
    acted("model.sha256"),
    acted("model.files"),
    acted("model.credentials"),
    refused("model.signature"),
    acted("model.variants"),
    acted("model.minQuality"),
    acted("models"),
    refused("state"),
    acted("pipeline.preprocess[].bytes"),
    acted("pipeline.preprocess[].decodeImage"),
    acted("pipeline.preprocess[].resize"),
    acted("pipeline.preprocess[].centreCrop"),
    acted("pipeline.preprocess[].normalize"),
    acted("pipeline.preprocess[].pad"),
    acted("pipeline.preprocess[].tokenize"),
    acted("pipeline.preprocess[].records"),
    acted("pipeline.preprocess[].audio"),
    acted("pipeline.postprocess[].softmax"),
    acted("pipeline.postprocess[].sigmoid"),
    acted("pipeline.postprocess[].argmax"),
    acted("pipeline.postprocess[].topK"),
    acted("pipeline.postprocess[].threshold"),
    acted("pipeline.postprocess[].l2Normalize"),
    acted("pipeline.postprocess[].regression"),
    acted("pipeline.postprocess[].labelMap"),
    acted("pipeline.postprocess[].meanPool"),
    acted("pipeline.postprocess[].nonMaxSuppression"),
    acted("pipeline.postprocess[].speechSegments"),
    acted("pipeline.postprocess[].regions"),
    acted("pipeline.postprocess[].ctcDecode"),
    acted("pipeline.steps"),
    acted("batching"),
    acted("runtime.executionProviders"),
    named("runtime.precision"),
    acted("runtime.engineCache"),
    acted("runtime.instances"),
    acted("runtime.intraOpThreads"),
    acted("runtime.resources"),
    acted("slo.latency"),
    named("slo.availability"),
    acted("scaling"),
    refused_unless("placement.mode", "Replicas"),
    acted("placement.accelerators"),
    acted("placement.strategy"),
    acted("placement.locations"),
    acted("placement.regions"),
    acted("placement.spot"),
    acted("placement.maxHourlyCost"),
    refused_unless("rollout.strategy", "Replace"),
    refused("rollout.steps"),
    refused("rollout.analysis"),
    refused("rollout.mirror"),
    acted("access.authentication"),
    acted("access.rateLimit"),
    acted("access.maxRequestBytes"),
    acted("access.maxJsonDepth"),
    acted("access.timeout"),
    acted("access.priority"),
    refused("explain"),
    refused_unless("audit.payloads", "None"),
    refused("audit.sink"),
    refused_unless("audit.onFailure", "Drop"),
    acted("availability"),
];

/// AcceleratorPool.
pub const POOL: &[Field] = &[
    acted("accelerator"),
    acted("memory"),
    acted("resource.name"),
    refused("resource.deviceClass"),
    acted("location"),
    acted("region"),
    acted("capacityType"),
    acted("hourlyCost"),
    acted("provisioning"),
    acted("nodeSelector"),
    acted("tolerations"),
    acted("relativeSpeed"),
    acted("standby"),
    refused("cluster"),
];

/// Tenant.
pub const TENANT: &[Field] = &[
    acted("namespaces"),
    acted("keys"),
    refused("identity"),
    acted("quota"),
    acted("rateLimit"),
    named_unless("priority", "Standard"),
    acted("policy.allowUnpinned"),
    acted("policy.sources"),
    acted("policy.regions"),
    acted("policy.networkPolicy"),
    acted("policy.allowAnonymous"),
    acted("policy.maxPriority"),
    refused_unless("policy.minAudit", "None"),
];

/// Fields that are set and have no or not the promised effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsupported {
    /// Refused.
    pub refused: BTreeSet<&'static str>,
    /// Without effect.
    pub named: BTreeSet<&'static str>,
}

/// Looks at every field that `spec` sets.
#[must_use]
pub fn unsupported<S: Serialize>(spec: &S, table: &'static [Field]) -> Unsupported {
    let mut found = Unsupported::default();
    if let Ok(value) = serde_json::to_value(spec) {
        walk(&value, String::new(), table, &mut found);
    }
    found
}

fn walk(value: &Value, path: String, table: &'static [Field], found: &mut Unsupported) {
    if let Some(field) = classify(&path, table) {
        note(field, value, found);
    }
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, inner)| walk(inner, join(&path, key), table, found)),
        Value::Array(entries) => entries.iter().for_each(|inner| walk(inner, format!("{path}[]"), table, found)),
        _ => {}
    }
}

fn note(field: &Field, value: &Value, found: &mut Unsupported) {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if value.is_null() || field.idle == Some(text.as_str()) {
        return;
    }
    match field.class {
        Class::Acted => {}
        Class::Refused => _ = found.refused.insert(field.path),
        Class::Named => _ = found.named.insert(field.path),
    }
}

/// The entry for a path: the longest one that is the path or an ancestor of it.
#[must_use]
pub fn classify<'t>(path: &str, table: &'t [Field]) -> Option<&'t Field> {
    table.iter().filter(|field| covers(field.path, path)).max_by_key(|field| field.path.len())
}

fn covers(ancestor: &str, path: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with("[]"))
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests;
