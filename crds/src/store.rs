//! Stores: where models may be read from. They are the platform's (chart value `stores`), never a tenant's.

use serde::{Deserialize, Serialize};

/// One store. A uri's authority is looked up here by `name`; credentials never set an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Store {
    /// The authority that uris name: the bucket of s3, the host of https.
    pub name: String,
    /// `s3` or `https`.
    pub scheme: String,
    /// Where it answers, with port: `http://s3.storage.svc:9000`. Absent: the public endpoint of the scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// PEM certificates of the authorities that its certificate is checked with, beside the public ones: for a store whose
    /// certificate is an organisation's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Address ranges that the store may resolve to. Only these lift the guard against private addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cidrs: Vec<String>,
}
