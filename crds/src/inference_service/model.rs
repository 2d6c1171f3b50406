//! The model: where its files are, and what proves them.

use crate::{Name, Sha256, Token, Uri};
use serde::{Deserialize, Serialize};

/// One model: its bytes, pinned by digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("has(self.files) == self.uri.endsWith('/')").message("a uri that ends in / is a folder and needs files; any other is one file and takes none")))]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("!(has(self.sha256) && has(self.files))").message("sha256 is for a single file; files carry a digest each")))]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("!has(self.minQuality) || has(self.variants)").message("minQuality chooses among variants: give variants")))]
pub struct Model {
    /// Where the ONNX file is, such as `s3://models/magika/model.onnx`; a folder uri (ending in `/`) goes with `files`.
    pub uri: Uri,
    /// Digest of the file. Required unless the tenant's policy says `allowUnpinned`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Files of a model that is a folder, each pinned. The first one is the ONNX file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"])))]
    pub files: Vec<ModelFile>,
    /// What opens the store. Mounted into the pod; the operator never reads its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// OpenSSF model signature, key mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// The same model at other precisions. With `minQuality`, each pool's replicas serve the narrowest variant that keeps it
    /// and that the pool computes in: INT8 on the CPU and by TensorRT, FP16 by CUDA and TensorRT, BF16 so too from the
    /// Ampere generation on, FP32 anywhere (by the first of `runtime.executionProviders`); of equally wide ones the best,
    /// then the first. Where none suits, they serve the model itself. A revision keeps its choice on a pool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub variants: Vec<ModelVariant>,
    /// A variant whose quality is below this is never chosen; 0 to 1. Absent: no variant is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(range(min = 0.0, max = 1.0)))]
    pub min_quality: Option<f64>,
}

/// A file of a model folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("!self.path.startsWith('/') && !self.path.contains('..')").message("path must stay below the model's folder")))]
pub struct ModelFile {
    /// Path below the folder: plain names, no `..`, not absolute.
    pub path: Token,
    /// Its digest.
    pub sha256: Sha256,
}

/// Names the Secret with the keys to a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// A Secret in the service's namespace. Keys for s3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (optional); for https: TOKEN (bearer).
    pub secret_name: Name,
}

/// Who must have signed the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signature {
    /// The key that the signature is checked with.
    pub public_key: PublicKey,
}

/// A PEM key in a ConfigMap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublicKey {
    /// Where it is.
    pub config_map: ConfigMapKey,
}

/// One key of a ConfigMap in the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapKey {
    /// The ConfigMap.
    pub name: Name,
    /// The key in it.
    pub key: Token,
}

/// The model at another precision, with its measured quality: one ONNX file, which takes the place of the model's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("!self.uri.endsWith('/')").message("a variant is one file: it takes the place of the model's ONNX file")))]
pub struct ModelVariant {
    /// A name, such as `int8`.
    pub name: Name,
    /// Its file, in the same store or volume as the model.
    pub uri: Uri,
    /// Its digest.
    pub sha256: Sha256,
    /// Its precision.
    pub precision: Precision,
    /// Quality relative to the model's, as `millrace-server evaluate` measures it; 0 to 1.
    #[cfg_attr(feature = "resource", schemars(range(min = 0.0, max = 1.0)))]
    pub quality: f64,
}

/// Number format that a model computes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    FP32,
    /// 16-bit floats.
    FP16,
    /// bfloat16.
    BF16,
    /// 8-bit integers.
    INT8,
}
