//! Scores to named classes, and classes that aren't sure enough to their fall-backs.

use super::{Class, Target, value::Scores};
use crate::model::files::Files;
use millrace_crds as crds;
use std::collections::{BTreeMap, HashMap};

/// Names of classes in the model's order.
pub struct Labels(Vec<String>);

/// Namespace for what is checked at load.
pub struct Classes;

impl Classes {
    /// Checks labels against the number of scores.
    ///
    /// # Errors
    /// A sentence: their number differs, or their file can't be had.
    pub fn check(labels: &crds::Labels, width: Option<i64>, target: &Target<'_>) -> Result<Labels, String> {
        let names = match (&labels.file, &labels.metadata) {
            (Some(file), _) => {
                lines(file.as_str(), target.files).map_err(|error| format!("postprocess: labels.file: {error}"))?
            }
            (None, Some(key)) => {
                entry(key.as_str(), target).map_err(|error| format!("postprocess: labels.metadata: {error}"))?
            }
            (None, None) => labels.values.iter().map(ToString::to_string).collect(),
        };
        let count = names.len();
        if let Some(width) = width.and_then(|width| usize::try_from(width).ok())
            && width != count
        {
            return Err(format!("postprocess has {count} labels; the model's output has {width} scores"));
        }
        Ok(Labels(names))
    }
}

/// One name a line; the last line may end or not.
fn lines(file: &str, files: &Files) -> Result<Vec<String>, String> {
    let text = String::from_utf8(files.read(file)?).map_err(|_| format!("the file {file} isn't UTF-8"))?;
    let names: Vec<String> = text.lines().map(str::to_owned).collect();
    if names.is_empty() { Err(format!("the file {file} holds no label")) } else { Ok(names) }
}

/// One name a line of what the model says of itself.
fn entry(key: &str, target: &Target<'_>) -> Result<Vec<String>, String> {
    let text = target.metadata.get(key).ok_or_else(|| {
        let keys: Vec<&str> = target.metadata.keys().map(String::as_str).collect();
        let has = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
        format!("the model's metadata has no {key:?}; it has {has}")
    })?;
    Ok(text.lines().map(str::to_owned).collect())
}

impl Labels {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|own| own == name)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of a class. A model with a free last dimension may have more scores than labels: then the number is the name.
    #[must_use]
    pub fn name(&self, at: usize) -> String {
        self.0.get(at).cloned().unwrap_or_else(|| at.to_string())
    }

    fn class(&self, at: usize, score: f32) -> Class {
        Class { label: self.name(at), score }
    }

    /// The name of a class by its number; `None`: there is no such class.
    #[must_use]
    pub fn named(&self, class: f32) -> Option<String> {
        self.0.iter().zip(0u16..).find(|(_, at)| f32::from(*at) == class).map(|(name, _)| name.clone())
    }

    /// Each score with the name of its class.
    #[must_use]
    pub fn all(&self, scores: &[f32]) -> Scores {
        let named = scores.iter().enumerate().map(|(at, &score)| self.class(at, score));
        Scores(named.map(|Class { label, score }| (label, score)).collect())
    }

    /// The class with the highest score, the first one of several; `None`: there is no score.
    #[must_use]
    pub fn argmax(&self, scores: &[f32]) -> Option<Class> {
        let mut best = (0, *scores.first()?);
        for (at, &score) in scores.iter().enumerate() {
            if score > best.1 {
                best = (at, score);
            }
        }
        Some(self.class(best.0, best.1))
    }

    /// The k classes with the highest scores, best first.
    #[must_use]
    pub fn top_k(&self, scores: &[f32], k: usize) -> Vec<Class> {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order.truncate(k);
        order.into_iter().map(|at| self.class(at, scores[at])).collect()
    }
}

/// Keeps a class if its score is high enough, else falls back; renames.
pub struct ThresholdStep {
    default: f64,
    classes: BTreeMap<String, f64>,
    rename: BTreeMap<String, String>,
    fallback: String,
    groups: HashMap<String, String>,
}

impl ThresholdStep {
    /// From the manifest.
    #[must_use]
    pub fn compile(spec: &crds::Threshold) -> Self {
        let mut groups = HashMap::new();
        for group in &spec.fallback.groups {
            for class in &group.classes {
                groups.entry(class.to_string()).or_insert_with(|| group.label.to_string());
            }
        }
        Self {
            default: spec.default,
            classes: spec.classes.clone(),
            rename: spec.rename.iter().map(|(from, to)| (from.clone(), to.to_string())).collect(),
            fallback: spec.fallback.label.to_string(),
            groups,
        }
    }

    /// The threshold is the original class's, the group the renamed one's.
    #[must_use]
    pub fn decide(&self, class: Class) -> Class {
        let least = self.classes.get(&class.label).copied().unwrap_or(self.default);
        let renamed = self.rename.get(&class.label).cloned().unwrap_or(class.label);
        let label = if f64::from(class.score) >= least {
            renamed
        } else {
            self.groups.get(&renamed).unwrap_or(&self.fallback).clone()
        };
        Class { label, score: class.score }
    }
}
