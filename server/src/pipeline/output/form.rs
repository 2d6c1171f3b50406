//! What a value is, for checks at load.

use std::fmt;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Numbers.
    Vector,
    /// One class or several.
    Classes,
    /// One number.
    Number,
    /// Boxes in an image.
    Boxes,
    /// Regions of an image.
    Regions,
    /// A text.
    Text,
    /// Parts of other forms.
    Object,
    /// A score for each frame.
    Series,
    /// Stretches of audio.
    Segments,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vector => "a vector",
            Self::Classes => "classes",
            Self::Number => "a number",
            Self::Boxes => "boxes",
            Self::Regions => "regions",
            Self::Text => "a text",
            Self::Object => "an object",
            Self::Series => "a series of frames",
            Self::Segments => "segments",
        })
    }
}

impl Form {
    /// Whether it is made of several vectors.
    pub(super) fn is_of_several(self) -> bool {
        matches!(self, Self::Boxes | Self::Regions | Self::Text)
    }
}
