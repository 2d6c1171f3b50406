//! What the product's programs asked of the API server, as its audit log tells.

use crate::{Bed, SYSTEM_NAMESPACE};
use anyhow::{Context, Result};
use serde_json::Value;

/// A request that was made and answered.
#[derive(Clone, Debug)]
pub struct Request(Value);

impl Request {
    /// The rights that it took, as RBAC names them: API group, resource (with its subresource) and verb. An apply that makes
    /// its object is a patch and a creation.
    #[must_use]
    pub fn rights(&self) -> Vec<String> {
        let verb = self.0["verb"].as_str().unwrap_or_default();
        let made = verb == "patch" && self.status() == 201;
        std::iter::once(verb)
            .chain(made.then_some("create"))
            .map(|verb| format!("{} {verb}", self.resource()))
            .collect()
    }

    /// API group and resource, with its subresource.
    #[must_use]
    pub fn resource(&self) -> String {
        let part = |key: &str| self.0["objectRef"][key].as_str().unwrap_or_default();
        let resource = match part("subresource") {
            "" => part("resource").to_owned(),
            subresource => format!("{}/{subresource}", part("resource")),
        };
        format!("{} {resource}", part("apiGroup"))
    }

    /// Namespace and name of the object.
    #[must_use]
    pub fn object(&self) -> (&str, &str) {
        let part = |key: &str| self.0["objectRef"][key].as_str().unwrap_or_default();
        (part("namespace"), part("name"))
    }

    /// Status code of the answer.
    #[must_use]
    pub fn status(&self) -> u64 {
        self.0["responseStatus"]["code"].as_u64().unwrap_or_default()
    }

    /// Whether it changes something.
    #[must_use]
    pub fn writes(&self) -> bool {
        ["create", "update", "patch", "delete", "deletecollection"]
            .contains(&self.0["verb"].as_str().unwrap_or_default())
    }
}

/// All requests of one program (`operator`, `gateway`) so far, in their order.
///
/// # Errors
/// The log can't be read.
pub fn requests_of(bed: &Bed, program: &str) -> Result<Vec<Request>> {
    let path = &bed.state.audit_log;
    let log = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let user = format!("system:serviceaccount:{SYSTEM_NAMESPACE}:millrace-{program}");
    let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(entries.filter(|entry| entry["user"]["username"] == user.as_str()).map(Request).collect())
}
