//! Output steps: from the tensors of the model to the JSON answer.

use crate::{Duration, Line, Token};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One step of output creation: exactly one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum PostprocessStep {
    /// Scores to probabilities.
    Softmax(Softmax),
    /// Scores to independent probabilities.
    Sigmoid(Sigmoid),
    /// The best class, with its label and score.
    Argmax(Argmax),
    /// The best k classes.
    TopK(TopK),
    /// Keeps a class only if its score is high enough, else falls back.
    Threshold(Threshold),
    /// Token vectors to one vector.
    MeanPool(MeanPool),
    /// A vector to length one.
    L2Normalize(L2Normalize),
    /// Boxes without overlaps.
    NonMaxSuppression(NonMaxSuppression),
    /// Regions of a map of probabilities.
    Regions(Regions),
    /// Scores of steps along a line to its text.
    CtcDecode(CtcDecode),
    /// A number with its unit.
    Regression(Regression),
    /// Probabilities of audio frames to stretches of speech.
    SpeechSegments(SpeechSegments),
    /// The model's own answer with names: a class number becomes its label, scores become an object.
    LabelMap(LabelMap),
}

/// exp(x) / sum(exp(x)) over the last dimension.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Softmax {
    /// Output tensor; absent: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Token>,
}

/// 1 / (1 + exp(−x)).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sigmoid {
    /// Output tensor; absent: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Token>,
}

/// The class with the highest score: `{"label", "score"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Argmax {
    /// Output tensor; absent: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Token>,
    /// Names of the classes.
    pub labels: Labels,
}

/// The k classes with the highest scores, best first: `[{"label", "score"}]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopK {
    /// How many.
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_024)))]
    pub k: u32,
    /// Output tensor; absent: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Token>,
    /// Names of the classes.
    pub labels: Labels,
}

/// Names of classes, in the order of the model: inline, a file of the model, or in the model itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("(has(self.values) ? 1 : 0) + (has(self.file) ? 1 : 0) + (has(self.metadata) ? 1 : 0) == 1").message("give one of values, file and metadata")))]
pub struct Labels {
    /// The names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 4_096)))]
    pub values: Vec<Line>,
    /// A file among `files` with one name a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Token>,
    /// A key of the model's own metadata that holds one name a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Token>,
}

/// After argmax or topK: a class with a score below its threshold becomes its fall-back; then classes are renamed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Threshold {
    /// Least score for classes without their own.
    #[cfg_attr(feature = "resource", schemars(range(min = 0.0, max = 1.0)))]
    pub default: f64,
    /// Least score for each class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "resource", schemars(extend("maxProperties" = 4_096)))]
    pub classes: BTreeMap<String, f64>,
    /// Other names for classes in the answer; the threshold is the original class's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "resource", schemars(extend("maxProperties" = 4_096)))]
    pub rename: BTreeMap<String, Line>,
    /// What is answered instead.
    pub fallback: Fallback,
}

/// Label for what is not sure enough.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fallback {
    /// For classes in no group.
    pub label: Line,
    /// Other labels for groups of (renamed) classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 64)))]
    pub groups: Vec<FallbackGroup>,
}

/// A label for a group of classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FallbackGroup {
    /// The fall-back.
    pub label: Line,
    /// The classes.
    #[cfg_attr(feature = "resource", schemars(length(min = 1, max = 4_096)))]
    pub classes: Vec<Line>,
}

/// Mean over tokens, by the attention mask.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MeanPool {
    /// Output tensor; absent: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Token>,
}

/// Scales a vector to length one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct L2Normalize {
    /// Output tensor; absent: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Token>,
}

/// Keeps the best of overlapping boxes: `[{"label", "score", "box": [left, top, right, bottom]}]`, best first, in pixels of the upright image as it was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NonMaxSuppression {
    /// Boxes whose intersection is more than this part of their union are one.
    #[cfg_attr(feature = "resource", schemars(range(min = 0.0, max = 1.0)))]
    pub iou: f64,
    /// Boxes with a lower score are dropped.
    #[cfg_attr(feature = "resource", schemars(range(min = 0.0, max = 1.0)))]
    pub score: f64,
    /// At most so many.
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 10_000)))]
    pub max_boxes: u32,
    /// Names of the classes; absent: their numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// Output tensor with the boxes: four numbers for each, and after them its scores unless `scores` names another output; absent: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Token>,
    /// Output tensor with the scores of each box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Token>,
    /// What the four numbers are.
    #[serde(default)]
    pub format: BoxFormat,
    /// Whether the tensor has a row for each number and a column for each box, as YOLOv8 gives it, instead of a row for each box.
    #[serde(default)]
    pub transposed: bool,
    /// Whether the first score says that there is anything at all, and the others are multiplied by it, as in YOLOv5.
    #[serde(default)]
    pub objectness: bool,
    /// Whether boxes of different classes suppress each other as well.
    #[serde(default)]
    pub class_agnostic: bool,
}

/// What the four numbers of a box are, in pixels of the model's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum BoxFormat {
    /// Centre x, centre y, width, height.
    #[default]
    CentreSize,
    /// Left, top, right, bottom.
    Corners,
}

/// Regions of a map of probabilities, as DBNet gives it, to the smallest rectangles around them, at whatever angle: `[{"score", "box": [[x, y], ...]}]`,
/// the corners with the clock from the upper left one, in whole pixels of the upright image as it was sent. Regions come in rows from top to bottom, and in a row from left to right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Regions {
    /// Output tensor, `[batch, 1, height, width]`; absent: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Token>,
    /// Neighbours with a higher probability are one region.
    #[serde(default = "default_region_threshold")]
    #[cfg_attr(feature = "resource", schemars(range(min = 0.0, max = 1.0)))]
    pub threshold: f64,
    /// Rectangles whose mean probability is lower are dropped.
    #[serde(default = "default_region_score")]
    #[cfg_attr(feature = "resource", schemars(range(min = 0.0, max = 1.0)))]
    pub score: f64,
    /// Whether regions first grow by a pixel to the right and down, so that what nearly touches is one.
    #[serde(default)]
    pub dilate: bool,
    /// Sides of a rectangle move outwards by its area × this / its perimeter.
    #[serde(default = "default_expand")]
    #[cfg_attr(feature = "resource", schemars(range(min = 0.0, max = 100.0)))]
    pub expand: f64,
    /// Rectangles with a shorter side are dropped, in pixels of the map; after they were expanded, two pixels more.
    #[serde(default = "default_min_side")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_024)))]
    pub min_side: u32,
    /// At most so many regions are looked at.
    #[serde(default = "default_max_regions")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 10_000)))]
    pub max_regions: u32,
    /// Neighbours whose upper left corners differ less in height are in one row.
    #[serde(default = "default_row_tolerance")]
    #[cfg_attr(feature = "resource", schemars(range(max = 1_024)))]
    pub row_tolerance: u32,
}

fn default_region_threshold() -> f64 {
    0.3
}

fn default_region_score() -> f64 {
    0.5
}

fn default_expand() -> f64 {
    1.6
}

fn default_min_side() -> u32 {
    3
}

fn default_max_regions() -> u32 {
    1_000
}

fn default_row_tolerance() -> u32 {
    10
}

/// The best class of each step, without repetitions and blanks (class 0): `{"text", "score"}`. The score is the mean of those that are left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CtcDecode {
    /// Output tensor, `[batch, steps, classes]`; absent: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Token>,
    /// Texts of the classes from 1 on.
    pub labels: Labels,
    /// Whether one more class after them is a space.
    #[serde(default)]
    pub space: bool,
}

/// Stretches of speech from the probability of each audio frame, as Silero's `get_speech_timestamps` finds them: `[{"start", "end"}]` in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpeechSegments {
    /// Output tensor; absent: the only one that isn't state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Token>,
    /// Speech begins at a frame with this probability.
    #[serde(default = "default_speech")]
    #[cfg_attr(feature = "resource", schemars(range(min = 0.0, max = 1.0)))]
    pub threshold: f64,
    /// Speech may end at a frame below this; absent: 0.15 less than threshold, and 0.01 at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "resource", schemars(range(min = 0.0, max = 1.0)))]
    pub end_threshold: Option<f64>,
    /// Shorter stretches are dropped.
    #[serde(default = "default_min_speech")]
    pub min_speech: Duration,
    /// Speech ends only when it stays away for so long.
    #[serde(default = "default_min_silence")]
    pub min_silence: Duration,
    /// Added before and after each stretch, as far as there is silence.
    #[serde(default = "default_padding")]
    pub padding: Duration,
}

fn default_speech() -> f64 {
    0.5
}

fn default_min_speech() -> Duration {
    Duration::from("250ms")
}

fn default_min_silence() -> Duration {
    Duration::from("100ms")
}

fn default_padding() -> Duration {
    Duration::from("30ms")
}

/// A number with its unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Regression {
    /// Output tensor; absent: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Token>,
    /// The unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Line>,
}

/// Names what the model gives. Scores become an object from label to score, `{"ham": 0.9, "spam": 0.1}`; a whole number, which is a class, becomes `{"label"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelMap {
    /// Output tensor; absent: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Token>,
    /// Names of the classes.
    pub labels: Labels,
}
