//! Scores of steps along a line to its text, by connectionist temporal classification.

use super::{
    classes::{Classes, Labels},
    value::Text,
};
use crate::pipeline::Target;
use millrace_crds as crds;

/// A ctcDecode step that fits the model's output.
pub struct CtcStep {
    labels: Labels,
    space: bool,
}

impl CtcStep {
    /// Checks the step: a class for nothing, one for each label, and perhaps one for the space are the model's `classes`.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn compile(spec: &crds::CtcDecode, classes: Option<i64>, target: &Target<'_>) -> Result<Self, String> {
        let labels = Classes::check(&spec.labels, None, target)?;
        let (count, others) = (labels.len(), 1 + usize::from(spec.space));
        if let Some(classes) = classes.and_then(|classes| usize::try_from(classes).ok())
            && classes != count + others
        {
            let space = if spec.space { " and the space" } else { "" };
            return Err(format!(
                "postprocess: ctcDecode has {count} labels besides the blank{space}; the model's output has {classes} classes"
            ));
        }
        Ok(Self { labels, space: spec.space })
    }

    /// The text of one row, given the scores of all its steps; `None`: there are no classes.
    #[must_use]
    pub fn text(&self, scores: &[f32], classes: usize) -> Option<Text> {
        if classes == 0 {
            return None;
        }
        let (mut text, mut sum, mut count, mut last) = (String::new(), 0.0, 0u16, 0);
        for step in scores.chunks_exact(classes) {
            let first = (0, *step.first()?);
            let (class, score) =
                step.iter().copied().enumerate().fold(first, |best, one| if one.1 > best.1 { one } else { best });
            if class != 0 && class != last {
                if self.space && class == self.labels.len() + 1 {
                    text.push(' ');
                } else {
                    text.push_str(&self.labels.name(class - 1));
                }
                sum += f64::from(score);
                count = count.saturating_add(1);
            }
            last = class;
        }
        // A score: 32 bits are enough.
        #[allow(clippy::cast_possible_truncation)]
        let score = if count == 0 { 0.0 } else { (sum / f64::from(count)) as f32 };
        Some(Text { text, score })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::files::Files, protocol::tensor::Signature};
    use std::collections::BTreeMap;

    fn step(json: &str, classes: i64) -> Result<CtcStep, String> {
        let metadata = BTreeMap::from([("letters".to_owned(), "a\nb\n".to_owned())]);
        let signature = Signature { inputs: Vec::new(), outputs: Vec::new() };
        let target = Target {
            signature: &signature,
            max_rows: 1,
            few_lengths: false,
            files: &Files::default(),
            metadata: &metadata,
        };
        CtcStep::compile(&serde_json::from_str(json).unwrap(), Some(classes), &target)
    }

    /// The text of steps whose best classes are given, each with score 0.5 or, if it repeats, 1.
    fn check(step: &CtcStep, classes: &[usize]) -> (String, f32) {
        let scores: Vec<f32> =
            classes.iter().flat_map(|&best| (0..4).map(move |class| if class == best { 0.5 } else { 0.1 })).collect();
        let Text { text, score } = step.text(&scores, 4).unwrap();
        (text, score)
    }

    #[test]
    fn repetitions_and_blanks_vanish() {
        let step = step(r#"{"labels": {"metadata": "letters"}, "space": true}"#, 4).unwrap();
        for (classes, text) in
            [(&[0, 1, 1, 0, 1, 2, 2, 0][..], "aab"), (&[1, 3, 2], "a b"), (&[3, 3], " "), (&[0, 0], ""), (&[], "")]
        {
            assert_eq!(
                check(&step, classes),
                (text.to_owned(), if text.is_empty() { 0.0 } else { 0.5 }),
                "{classes:?}"
            );
        }
    }

    #[test]
    fn labels_that_do_not_fit_name_both_sides() {
        let error = step(r#"{"labels": {"metadata": "letters"}}"#, 4).err().unwrap();
        assert!(error.contains("2 labels besides the blank;") && error.contains("4 classes"), "{error}");
        let error = step(r#"{"labels": {"metadata": "other"}}"#, 3).err().unwrap();
        assert!(error.contains("\"other\"") && error.contains("letters"), "{error}");
    }
}
