//! Tenant: who may use what.

use crate::{AuditPayloads, Condition, KeyHash, Money, Name, Token, Uri};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Namespaces, keys, quota and policy of one tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::CustomResource, kube::KubeSchema))]
#[cfg_attr(
    feature = "resource",
    kube(
        group = "millrace.dev",
        version = "v1alpha1",
        kind = "Tenant",
        status = "TenantStatus",
        category = "millrace",
        derive = "PartialEq",
        cel,
        doc = "Who may use what.",
        printcolumn(
            name = "Accepted",
            type_ = "string",
            json_path = ".status.conditions[?(@.type=='Accepted')].status"
        ),
        printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Accepted')].reason"),
        printcolumn(name = "Namespaces", type_ = "integer", json_path = ".status.namespaces"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("!has(self.keys) || self.keys.all(a, self.keys.filter(b, b.hash == a.hash).size() == 1)").message("two keys may not have one hash")))]
pub struct TenantSpec {
    /// Namespaces that belong to it. To label namespaces is a right of the platform team.
    pub namespaces: NamespaceSelector,
    /// API keys; two live ones allow rotation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub keys: Vec<ApiKey>,
    /// Issuers of OIDC tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 8)))]
    pub identity: Vec<Identity>,
    /// What all its services together may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// Limit over all its services, for each gateway replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Lane in shared queues.
    #[serde(default)]
    pub priority: Priority,
    /// Caps on what a service may ask.
    #[serde(default)]
    pub policy: Policy,
}

/// By labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("size(self.matchLabels) > 0").message("name at least one label: an empty selector would claim every namespace")))]
pub struct NamespaceSelector {
    /// All of these.
    #[cfg_attr(feature = "resource", schemars(extend("maxProperties" = 16)))]
    pub match_labels: BTreeMap<String, Token>,
}

/// A key, of which only a keyed hash is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKey {
    /// A name for people.
    pub name: Name,
    /// `hmac-sha256:` and 64 hexadecimal digits, as `millrace-gateway key` prints it.
    pub hash: KeyHash,
    /// RFC 3339; afterwards the key is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Token>,
}

/// Tokens of an issuer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// The issuer (https).
    pub issuer: Uri,
    /// Required audience.
    pub audience: Token,
    /// Claim that names the tenant.
    pub claim: Token,
}

/// Upper bounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quota {
    /// Most accelerators by product.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "resource", schemars(extend("maxProperties" = 16)))]
    pub accelerators: BTreeMap<String, u32>,
    /// Most that all services together may cost in an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_hourly_cost: Option<Money>,
}

/// Bounds for callers; more is answered 429.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// Sustained rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_000_000)))]
    pub requests_per_second: Option<u32>,
    /// Requests at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_000_000)))]
    pub burst: Option<u32>,
    /// Requests at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_000_000)))]
    pub in_flight: Option<u32>,
}

/// Lanes, most urgent first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum Priority {
    /// First.
    Critical,
    /// Usual.
    #[default]
    Standard,
    /// When there is room.
    Batch,
}

/// Caps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Models without sha256.
    #[serde(default)]
    pub allow_unpinned: bool,
    /// Prefixes that model uris must have; absent: any store of the platform.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 32), extend("x-kubernetes-list-type" = "set")))]
    pub sources: Vec<Uri>,
    /// Regions that pods may run in; absent: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 32), extend("x-kubernetes-list-type" = "set")))]
    pub regions: Vec<Token>,
    /// Isolation of pods.
    #[serde(default)]
    pub network_policy: NetworkPolicyMode,
    /// Services without keys.
    #[serde(default)]
    pub allow_anonymous: bool,
    /// Highest lane that a service may ask.
    #[serde(default)]
    pub max_priority: Priority,
    /// Least audit.
    #[serde(default)]
    pub min_audit: AuditPayloads,
}

/// Isolation of pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum NetworkPolicyMode {
    /// From the gateway and to stores only.
    #[default]
    Strict,
    /// No NetworkPolicy.
    None,
}

/// Observed state of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TenantStatus {
    /// Generation of the spec that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Namespaces that it holds.
    #[serde(default)]
    pub namespaces: u32,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])))]
    pub conditions: Vec<Condition>,
}
