//! Raw bytes to tokens.

use crate::Line;
use serde::{Deserialize, Serialize};

/// Takes windows from both ends of the raw input, one integer for each byte. White space is ASCII: space, tab, line feed, carriage return, vertical tab, form feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bytes {
    /// Tokens taken from the front (after its white space is stripped); padded at the end.
    #[cfg_attr(feature = "resource", schemars(range(max = 1_048_576)))]
    pub head: u32,
    /// Tokens taken from the end (after its white space is stripped); padded at the front.
    #[cfg_attr(feature = "resource", schemars(range(max = 1_048_576)))]
    pub tail: u32,
    /// Bytes read at each end before stripping.
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 4_194_304)))]
    pub block: u32,
    /// The token that fills what is missing.
    pub padding: i32,
    /// Strip white space: leading from the head, trailing from the tail.
    #[serde(default)]
    pub strip: bool,
    /// Answers for inputs with too little in them for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_input: Option<ShortInput>,
}

/// An input with fewer bytes than this (whole, or after its leading white space in the first block) is answered without the model, with score 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "resource", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShortInput {
    /// The least number of bytes that the model is asked about.
    #[cfg_attr(feature = "resource", schemars(range(min = 1, max = 1_048_576)))]
    pub min_bytes: u32,
    /// Label of an input of no bytes.
    pub empty: Line,
    /// Label if the bytes are UTF-8.
    pub text: Line,
    /// Label if they are not.
    pub binary: Line,
}
