//! Several models in one service.

use super::{DecodeImage, PostprocessStep, PreprocessStep};
use crate::{Credentials, Line, ModelFile, Name, Sha256, Token, Uri};
use serde::{Deserialize, Serialize};

/// One model of several: with a queue, a batcher and engines of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("has(self.files) == self.uri.endsWith('/')").message("a uri that ends in / is a folder and needs files; any other is one file and takes none")))]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("!(has(self.sha256) && has(self.files))").message("sha256 is for a single file; files carry a digest each")))]
pub struct NamedModel {
    /// What steps call it.
    pub name: Name,
    /// Where its file is; a folder uri (ending in `/`) goes with `files`.
    pub uri: Uri,
    /// Digest of the file. Required unless the tenant's policy says `allowUnpinned`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Files of a model that is a folder, each pinned. The first one is the ONNX file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"])))]
    pub files: Vec<ModelFile>,
    /// What opens the store; the same for all models of a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Most rows in a batch of this model, where fewer than `batching.maxSize` fit the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 4_096)))]
    pub max_batch_size: Option<u32>,
}

/// A step of the graph: what it takes, what it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("[has(self.decodeImage), has(self.infer), has(self.crop), has(self.rotate), has(self.combine)].filter(x, x).size() == 1").message("a step is exactly one of decodeImage, infer, crop, rotate, combine")))]
pub struct GraphStep {
    /// What later steps call its output.
    pub name: Name,
    /// Steps whose outputs it takes, in the order that its kind wants them; empty: the body of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 8), extend("x-kubernetes-list-type" = "set")))]
    pub from: Vec<Name>,
    /// The body of the request to an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decode_image: Option<DecodeImage>,
    /// A model on the request, an image, or each of several images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infer: Option<Infer>,
    /// An image and the regions that a step found in it, in this order, to an image of each region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<Crop>,
    /// Images and the classes that a step gave them, in this order, to images that are turned by their class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<Rotate>,
    /// Outputs of several steps to one object, or to one for each region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combine: Option<Combine>,
}

/// A model with its own steps. What comes in is the request, or an image: then preprocess begins after its decodeImage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Infer {
    /// Its name in `models`.
    pub model: Name,
    /// From what comes in to the tensors of the model, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 4)))]
    pub preprocess: Vec<PreprocessStep>,
    /// From the tensors of the model to what later steps take, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 4)))]
    pub postprocess: Vec<PostprocessStep>,
}

/// Cuts regions out, upright by their corners: a perspective transform with cubic interpolation, as OpenCV's `warpPerspective` does it. Beyond the
/// border, the image's last pixels go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Crop {
    /// A region at least so many times as high as wide is turned a quarter to the left, so that a column of text becomes a line; absent: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(range(min = 0.01, max = 100.0)))]
    pub turn_from_ratio: Option<f64>,
    /// Regions of an image at most; one with more is refused with 422.
    #[serde(default = "default_max_items")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 10_000)))]
    pub max_items: u32,
    /// Pixels of all regions of an image together; more are refused with 422 before one is cut out.
    #[serde(default = "default_max_crop_pixels")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_000_000_000)))]
    pub max_pixels: u64,
}

fn default_max_items() -> u32 {
    1_000
}

fn default_max_crop_pixels() -> u64 {
    40_000_000
}

/// Turns the images of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotate {
    /// The class.
    pub label: Line,
    /// How far.
    #[serde(default)]
    pub turn: Turn,
    /// Images are turned only if the class has a higher score.
    #[serde(default)]
    #[cfg_attr(feature = "resource", schemars(range(min = 0.0, max = 1.0)))]
    pub above: f64,
}

/// How far an image is turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum Turn {
    /// Upside down.
    #[default]
    Half,
    /// A quarter, against the clock.
    Left,
    /// A quarter, with the clock.
    Right,
}

/// Puts together what steps gave; of steps on regions an object for each, in the order of the regions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Combine {
    /// The object's fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub fields: Vec<CombinedField>,
    /// Objects for regions are left out unless they pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
}

/// A field of a combined object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CombinedField {
    /// Its name in the object.
    pub name: Token,
    /// A step among `from`.
    pub step: Name,
    /// A field of what the step gives, such as `score`; absent: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<Token>,
}

/// Which objects are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Keep {
    /// A field of the object that is a score.
    pub field: Token,
    /// Its least value.
    pub at_least: f64,
}

/// Steps in an order in which each comes after those that it takes. The last one is the answer: no other takes it.
///
/// # Errors
/// A sentence: a name that is given twice or belongs to no step, a circle, or no single answer.
pub fn graph_order(steps: &[GraphStep]) -> Result<Vec<usize>, String> {
    let place = |name: &Name| steps.iter().position(|step| step.name == *name);
    let mut takes = Vec::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        if place(&step.name) != Some(at) {
            return Err(format!("two steps are named {}", step.name));
        }
        let from = step
            .from
            .iter()
            .map(|name| place(name).ok_or_else(|| format!("step {} takes {name}, which is no step", step.name)));
        let from = from.collect::<Result<Vec<usize>, String>>()?;
        if let Some(twice) = (1..from.len()).find(|at| from[..*at].contains(&from[*at])) {
            return Err(format!("step {} takes {} twice", step.name, step.from[twice]));
        }
        takes.push(from);
    }
    let mut order: Vec<usize> = Vec::with_capacity(steps.len());
    while order.len() < steps.len() {
        let next =
            (0..steps.len()).find(|at| !order.contains(at) && takes[*at].iter().all(|taken| order.contains(taken)));
        match next {
            Some(at) => order.push(at),
            None => {
                let circle = (0..steps.len()).filter(|at| !order.contains(at)).map(|at| steps[at].name.as_str());
                return Err(format!("steps take each other in a circle: {}", circle.collect::<Vec<_>>().join(", ")));
            }
        }
    }
    let untaken: Vec<usize> = (0..steps.len()).filter(|at| takes.iter().all(|taken| !taken.contains(at))).collect();
    let [answer] = untaken[..] else {
        let names = untaken.iter().map(|at| steps[*at].name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(format!("one step is the answer, and all others lead to it; no step takes {names}"));
    };
    order.retain(|at| *at != answer);
    order.push(answer);
    Ok(order)
}

/// Tensors that a stateful model carries from one request of a sequence to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    /// State inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub inputs: Vec<StateTensor>,
    /// State outputs, in the order of the inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])))]
    pub outputs: Vec<StateTensor>,
    /// A sequence without a request for so long is forgotten.
    pub idle: crate::Duration,
}

/// A tensor by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StateTensor {
    /// Its name in the model.
    pub name: Token,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(steps: &[(&str, &[&str])]) -> String {
        let step = |(name, from): &(&str, &[&str])| GraphStep {
            name: Name::from(*name),
            from: from.iter().map(|name| Name::from(*name)).collect(),
            decode_image: None,
            infer: None,
            crop: None,
            rotate: None,
            combine: None,
        };
        let steps: Vec<GraphStep> = steps.iter().map(step).collect();
        match graph_order(&steps) {
            Ok(order) => order.iter().map(|at| steps[*at].name.as_str()).collect::<Vec<_>>().join(" "),
            Err(error) => error,
        }
    }

    #[test]
    fn each_step_comes_after_what_it_takes() {
        assert_eq!(check(&[("c", &["b", "a"]), ("b", &["a"]), ("a", &[])]), "a b c");
        assert_eq!(check(&[("a", &[])]), "a");
        assert!(check(&[("a", &[]), ("a", &["a"])]).contains("two steps are named a"));
        assert!(check(&[("a", &["x"])]).contains("step a takes x, which is no step"));
        assert!(check(&[("a", &[]), ("b", &["a", "a"])]).contains("step b takes a twice"));
        assert!(check(&[("a", &[]), ("b", &["a", "c"]), ("c", &["b"])]).contains("in a circle: b, c"));
        assert!(check(&[("a", &["a"])]).contains("in a circle: a"));
        assert!(check(&[("a", &[]), ("b", &["a"]), ("c", &["a"])]).contains("no step takes b, c"));
        assert!(check(&[]).contains("one step is the answer"));
    }
}
