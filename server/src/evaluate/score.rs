//! How well answers are what they should be, in one figure from 0 to 1.

use super::{overlap, said::Said};
use serde::{Deserialize, Serialize};

/// How answers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Metric {
    /// Share of answers whose best class is the right one.
    Top1,
    /// Mean cosine of the angle between vectors.
    Cosine,
    /// One less the mean absolute error, over the range of the numbers that should be answered.
    AbsoluteError,
    /// F1 of boxes over all images; two are the same with one label and at least half of their union in common.
    F1,
    /// Seconds that stretches have in common, over those that are in either.
    Overlap,
}

/// How well answers are what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// How they were compared.
    pub metric: Metric,
    /// 0 to 1.
    pub value: f64,
    /// The mean absolute error, where that is what was compared; in the numbers' own unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
    /// How many answers were compared.
    pub count: usize,
}

impl Metric {
    /// How answers are compared that are held to this.
    fn of(reference: &Said) -> Self {
        match reference {
            Said::Class(_) => Self::Top1,
            Said::Vector(_) => Self::Cosine,
            Said::Scores(_) | Said::Numbers(_) => Self::AbsoluteError,
            Said::Boxes(_) => Self::F1,
            Said::Segments(_) => Self::Overlap,
        }
    }

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Top1 => "share of inputs whose best class is the right one",
            Self::Cosine => "mean cosine of vectors",
            Self::AbsoluteError => "1 less mean absolute error over range",
            Self::F1 => "F1 of boxes that overlap by half",
            Self::Overlap => "share of seconds in common",
        }
    }
}

/// Compares answers with what they should be: pairs of the answer and the reference, which are all of one kind.
///
/// # Errors
/// A sentence: there are none, they are of several kinds, or of several lengths.
pub fn score(pairs: &[(&Said, &Said)]) -> Result<Score, String> {
    let metric = Metric::of(pairs.first().ok_or("there is nothing to compare")?.1);
    let (mut sum, mut weight, mut least, mut most) = (0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY);
    for (said, reference) in pairs {
        let (part, of) = compare(said, reference)
            .filter(|_| Metric::of(reference) == metric)
            .ok_or("answers and what they are held to are of several kinds or lengths")?;
        (sum, weight) = (sum + part, weight + of);
        least = reference.numbers().into_iter().fold(least, f64::min);
        most = reference.numbers().into_iter().fold(most, f64::max);
    }
    // Nothing was to be found, and nothing was.
    let mean = if weight == 0.0 { 1.0 } else { sum / weight };
    let (value, error) = match metric {
        Metric::AbsoluteError if sum == 0.0 => (1.0, Some(0.0)),
        Metric::AbsoluteError => (1.0 - mean / (most - least), Some(mean)),
        _ => (mean, None),
    };
    // Numbers without any range leave nothing to measure an error by.
    let value = if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 };
    Ok(Score { metric, value, error, count: pairs.len() })
}

/// What one answer adds to a mean, and its weight in it. `None`: the two can't be compared.
fn compare(said: &Said, reference: &Said) -> Option<(f64, f64)> {
    // Numbers of things in one answer, far below where doubles have gaps.
    #[allow(clippy::cast_precision_loss)]
    let number = |count: usize| count as f64;
    Some(match (said, reference) {
        (said, Said::Class(class)) => (f64::from(u8::from(said.class()? == *class)), 1.0),
        (Said::Vector(a), Said::Vector(b)) if a.len() == b.len() => {
            (cosine(&said.numbers(), &reference.numbers()), 1.0)
        }
        (Said::Scores(_), Said::Scores(_)) | (Said::Numbers(_), Said::Numbers(_)) => {
            let (ours, theirs) = (said.numbers(), reference.numbers());
            let errors = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs());
            (ours.len() == theirs.len()).then(|| (errors.sum(), number(theirs.len())))?
        }
        (Said::Boxes(ours), Said::Boxes(theirs)) => {
            (2.0 * number(overlap::matched(ours, theirs)), number(ours.len() + theirs.len()))
        }
        (Said::Segments(ours), Said::Segments(theirs)) => overlap::seconds(ours, theirs),
        _ => return None,
    })
}

/// 1 for the same direction; vectors of zeros have none, and are alike only to each other.
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths == 0.0 { f64::from(u8::from(a == b)) } else { dot(a, b) / lengths }
}

#[cfg(test)]
#[path = "score_tests.rs"]
mod tests;
