//! Tables and series to tensors.

use crate::{Line, Token};
use serde::{Deserialize, Serialize};

/// Tabular records to tensors. The body of /process is JSON: one object (answered by one answer), a list of objects, or columns
/// `{"a": [...], "b": [...]}`. A model with one input of two dimensions gets the columns side by side; else each column goes to the input of its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Records {
    /// In the order of the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(min = 1, max = 1_024), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub columns: Vec<Column>,
    /// Pass over keys that are no columns; otherwise they are an error, for they may be misspelt ones.
    #[serde(default)]
    pub ignore_unknown: bool,
    /// Most records in a request.
    #[serde(default = "default_max_rows")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_000_000)))]
    pub max_rows: u32,
    /// Records are a series in time: the model gets windows of them, in an input of three dimensions (window, step, column), and answers once for each window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

fn default_max_rows() -> u32 {
    10_000
}

/// Windows over a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// Records in a window.
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 65_536)))]
    pub length: u32,
    /// Records from the start of one window to the start of the next; what is left at the end and fills no window is passed over.
    #[serde(default = "default_stride")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 65_536)))]
    pub stride: u32,
}

fn default_stride() -> u32 {
    1
}

/// One column of a table. A missing value (no key, or null) is replaced first; then mean and std are applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("!(has(self.missing) && has(self.missingAsNaN) && self.missingAsNaN)").message("give missing or missingAsNaN")))]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("!has(self.unknown) || has(self.categories)").message("unknown is for columns with categories")))]
pub struct Column {
    /// Key in the record.
    pub name: Token,
    /// Values of a categorical column, in the order of their codes 0, 1 and so on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 4_096)))]
    pub categories: Vec<Line>,
    /// The code of a value that isn't among the categories; absent: an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<f64>,
    /// What stands for a missing value; absent: an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<f64>,
    /// A missing value is NaN, for models that know what to do with it.
    #[serde(default, rename = "missingAsNaN")]
    pub missing_as_nan: bool,
    /// Subtracted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Divided by, after the mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<f64>,
}
