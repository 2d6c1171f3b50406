//! An InferenceService as a file: what the operator hands a pod, and what `millrace-server serve --manifest` reads.

use crate::{API_VERSION, InferenceServiceSpec};
use serde::{Deserialize, Serialize};

/// The resource without Kubernetes' metadata. Unknown fields are refused, so that a typing error is never silent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// [`API_VERSION`].
    pub api_version: String,
    /// `InferenceService`.
    pub kind: String,
    /// Name and namespace.
    pub metadata: ManifestMetadata,
    /// The service.
    pub spec: InferenceServiceSpec,
}

/// The part of metadata that a server uses. Other keys are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestMetadata {
    /// The service's name: the model name that clients use.
    pub name: String,
    /// Its namespace.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// The revision, set by the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The version number that clients see, set by the operator; rises with each revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

fn default_namespace() -> String {
    "default".to_owned()
}

impl Manifest {
    /// Reads the InferenceService of a YAML text that may hold several documents (`---`).
    ///
    /// # Errors
    /// A sentence: no such document, more than one, or what doesn't fit with its place.
    pub fn from_yaml(text: &str) -> Result<Self, String> {
        let documents: Vec<serde_json::Value> =
            serde_saphyr::from_multiple(text).map_err(|error| format!("the manifest is no YAML: {error}"))?;
        let mut services = documents
            .into_iter()
            .filter(|document| document["kind"] == "InferenceService" && document["apiVersion"] == API_VERSION);
        let found =
            services.next().ok_or_else(|| format!("the manifest holds no InferenceService of {API_VERSION}"))?;
        if services.next().is_some() {
            return Err("the manifest holds more than one InferenceService; serve takes one".to_owned());
        }
        serde_json::from_value(found).map_err(|error| format!("the InferenceService doesn't fit its schema: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> String {
        Manifest::from_yaml(text).map_or_else(|error| error, |manifest| manifest.metadata.name)
    }

    const SERVICE: &str = "apiVersion: millrace.dev/v1alpha1\nkind: InferenceService\nmetadata: {name: m, labels: {a: b}}\nspec: {model: {uri: 's3://b/m.onnx'}}\n";

    #[test]
    fn one_service_among_other_documents_is_found() {
        assert_eq!(check(&format!("kind: Namespace\napiVersion: v1\n---\n{SERVICE}")), "m");
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(check("kind: Pod\n").contains("holds no InferenceService"));
        assert!(check(&format!("{SERVICE}---\n{SERVICE}")).contains("more than one"));
        assert!(check(&SERVICE.replace("model:", "modell:")).contains("modell"));
        assert!(check("a: [").contains("no YAML"));
    }
}
