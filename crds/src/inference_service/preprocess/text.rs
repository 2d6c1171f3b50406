//! Texts to tokens.

use crate::Token;
use serde::{Deserialize, Serialize};

/// Text to token ids by a Hugging Face `tokenizer.json`: the tensors `input_ids`, `attention_mask` (if the model has it) and `token_type_ids`.
/// The body of /process is the text itself, or as `application/json` a text, `{"text": ...}`, or a list of either.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tokenize {
    /// Path of tokenizer.json among the files of the model. Truncation and padding that it asks for are ignored: those below hold.
    pub file: Token,
    /// Most tokens of a text, special ones included.
    #[serde(default = "default_max_length")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 131_072)))]
    pub max_length: u32,
    /// What becomes of a longer text.
    #[serde(default)]
    pub overflow: Overflow,
    /// Whether the model takes token type ids.
    #[serde(default)]
    pub token_types: bool,
    /// Lengths in tokens that texts are padded to, rising; the last one is maxLength or more. Absent: up to maxLength 32, 64, 128 and so on where a GPU prepares each; on the processor multiples of 8, further apart the longer they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "resource", schemars(length(max = 32), inner(range(min = 1, max = 131_072))))]
    pub buckets: Vec<u32>,
    /// Most bytes of a text, before it is cut into tokens.
    #[serde(default = "default_max_bytes")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 16_777_216)))]
    pub max_bytes: u32,
    /// Most texts in a request.
    #[serde(default = "default_max_texts")]
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 65_536)))]
    pub max_texts: u32,
}

/// What becomes of a text with too many tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
pub enum Overflow {
    /// Its end is cut off.
    #[default]
    Cut,
    /// The request is refused.
    Refuse,
}

fn default_max_length() -> u32 {
    512
}

fn default_max_bytes() -> u32 {
    131_072
}

fn default_max_texts() -> u32 {
    2_048
}
