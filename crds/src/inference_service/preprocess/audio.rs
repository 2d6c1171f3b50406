//! Audio to frames of samples.

use crate::Token;
use serde::{Deserialize, Serialize};

/// WAV or FLAC to samples from -1 to 1: channels are averaged, and another sample rate is converted as torchaudio's `resample` does by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(kube::KubeSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "resource", x_kube(validation = Rule::new("(has(self.frame) && self.frame > 0) || (!has(self.state) && !(has(self.context) && self.context > 0))").message("context and state go from frame to frame: give frame")))]
pub struct Audio {
    /// Samples per second that the model takes.
    #[cfg_attr(feature = "resource", schemars(range(min = 1_000, max = 384_000)))]
    pub sample_rate: u32,
    /// Samples in a frame, the last one filled up with silence; 0: the whole at once.
    #[serde(default)]
    #[cfg_attr(feature = "resource", schemars(range(max = 16_777_216)))]
    pub frame: u32,
    /// The last samples of the frame before, put in front of each frame; silence before the first.
    #[serde(default)]
    #[cfg_attr(feature = "resource", schemars(range(max = 16_777_216)))]
    pub context: u32,
    /// Longer audio is answered 422 before it is decoded, and so is audio of more samples than it has at 48,000 a second.
    #[serde(default = "default_max_seconds")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 86_400)))]
    pub max_seconds: u32,
    /// The model's input that takes the samples; absent: the only one that neither rateInput nor state names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Token>,
    /// The model's input that takes the sample rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_input: Option<Token>,
    /// Tensors that the model gives with each frame and takes with the next one of the same request; zeros with the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["input"])))]
    pub state: Vec<CarriedState>,
}

/// A tensor that is carried from frame to frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CarriedState {
    /// The model's input.
    pub input: Token,
    /// The model's output that goes there.
    pub output: Token,
}

fn default_max_seconds() -> u32 {
    300
}
