//! What a standby server is told, once in its life: whom it serves from then on. `POST /assign` over mutual TLS.

use crate::report::StartupReport;
use serde::{Deserialize, Serialize};

/// Where an assignment is posted.
pub const PATH: &str = "/assign";
/// The name in the one certificate that may assign.
pub const ASSIGNER: &str = "operator.millrace.internal";
/// Most bytes of an assignment.
pub const LARGEST: usize = 4 << 20;

/// An assignment. To post the same one again is to ask what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assignment {
    /// `manifest.yaml` of the revision's ConfigMap, to the byte.
    pub manifest: String,
    /// Its `stores.yaml`.
    pub stores: String,
}

/// The answer once the model answers on the data port: status 200.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assigned {
    /// What it took, from the assignment on.
    pub startup: StartupReport,
}

/// The answer to what isn't carried out: 409 if another assignment was taken already, 422 if the model can't be served (the
/// server ends then), 400 and 404 for what is no assignment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotAssigned {
    /// One of the condition reasons.
    pub reason: String,
    /// A sentence.
    pub message: String,
}
