//! `millrace-server evaluate`: what a model and its variants take, and how well they answer, measured on data.
//!
//! Each is loaded as `serve` loads it, and answers through the whole pipeline; in a process of its own, so that its memory
//! is its own. Quality is relative to the model. Where the data have labels, it is the variant's score by the labels over
//! the model's; where they have none, the variant's score by the model's own answers.

pub mod data;
pub mod measure;
mod overlap;
mod report;
pub mod said;
pub mod score;

pub use report::mebibytes;

use crate::{config::EvaluateOptions, error::StartError, load, model::variant};
use data::Item;
use measure::Measured;
use millrace_crds::{Model, ModelVariant, conditions::reason};
use said::Said;
use score::{Score, score};
use std::{
    process::{Command, ExitCode, Stdio},
    sync::Arc,
};

/// Exit code where a variant is below `minQuality`.
const BELOW: u8 = 2;

/// The model, or a variant of it, and what was measured.
struct Row<'m> {
    /// `None`: the model itself.
    variant: Option<&'m ModelVariant>,
    measured: Measured,
    /// By the labels, or by the model's own answers.
    score: Score,
    /// Relative to the model, rounded down to four places so that no figure promises more than was measured.
    quality: f64,
}

fn invalid(message: impl Into<String>) -> StartError {
    StartError::new(reason::INVALID, message)
}

/// Measures, and prints what was measured.
///
/// # Errors
/// The model or a variant can't be served, or the data don't fit it.
pub async fn run(options: EvaluateOptions) -> Result<ExitCode, StartError> {
    let manifest = load::read(&options.model)?;
    let items: Arc<[Item]> = data::read(&options.data, &manifest.spec.pipeline)?.into();
    if let Some(only) = &options.only {
        let only = Some(only.as_str()).filter(|name| !name.is_empty());
        let measured = measure::measure(manifest, only, items, &options).await?;
        println!("{}", serde_json::to_string(&measured).map_err(|error| invalid(error.to_string()))?);
        return Ok(ExitCode::SUCCESS);
    }
    let model = manifest.spec.model.as_ref().ok_or_else(|| invalid("the manifest names no model"))?;
    let variants = chosen(model, &options.variant)?;
    let rows = compare(&variants, &items)?;
    report::print(model, &rows, labels(&items) > 0, options.json)?;
    let below = |row: &&Row<'_>| model.min_quality.is_some_and(|least| row.variant.is_some() && row.quality < least);
    let low: Vec<String> =
        rows.iter().filter(below).filter_map(|row| row.variant).map(|variant| variant.name.to_string()).collect();
    if low.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    tracing::error!("below model.minQuality {}: {}", model.min_quality.unwrap_or_default(), low.join(", "));
    Ok(ExitCode::from(BELOW))
}

fn labels(items: &[Item]) -> usize {
    items.iter().filter(|item| item.expected.is_some()).count()
}

/// Variants by their names; no name: all.
fn chosen<'m>(model: &'m Model, names: &[String]) -> Result<Vec<&'m ModelVariant>, StartError> {
    if names.is_empty() {
        return Ok(model.variants.iter().collect());
    }
    names.iter().map(|name| variant::find(model, name)).collect()
}

/// Measures the model, then each variant, and holds their answers to the labels or to the model's.
fn compare<'m>(variants: &[&'m ModelVariant], items: &[Item]) -> Result<Vec<Row<'m>>, StartError> {
    let own = apart(None)?;
    let reference = references(items, &own.answers)?;
    let first = scored(&own.answers, &reference).map_err(invalid)?;
    if first.value == 0.0 {
        return Err(invalid(
            "--data: the model itself answers as none of the labels says, so nothing can be held to it: are the labels those of the pipeline, and folders' names meant as labels?",
        ));
    }
    let mut rows = vec![Row { variant: None, measured: own, score: first, quality: 1.0 }];
    for variant in variants {
        let measured = apart(Some(variant.name.as_str()))?;
        let score = scored(&measured.answers, &reference)
            .map_err(|error| invalid(format!("variant {}: {error}", variant.name)))?;
        rows.push(Row { variant: Some(variant), measured, score, quality: relative(score.value, first.value) });
    }
    Ok(rows)
}

/// What each answer is held to; `None`: the input has no label, where others have.
fn references(items: &[Item], own: &[Said]) -> Result<Vec<Option<Said>>, StartError> {
    if labels(items) == 0 {
        return Ok(own.iter().cloned().map(Some).collect());
    }
    let held = |(item, said): (&Item, &Said)| {
        let expected = item.expected.as_ref().map(|label| said.expected(label)).transpose();
        expected.map_err(|error| invalid(format!("--data: {}: {error}", item.name)))
    };
    items.iter().zip(own).map(held).collect()
}

fn scored(answers: &[Said], reference: &[Option<Said>]) -> Result<Score, String> {
    let pairs = answers.iter().zip(reference).filter_map(|(said, reference)| Some((said, reference.as_ref()?)));
    score(&pairs.collect::<Vec<_>>())
}

/// A variant that is better than the model keeps all of its quality.
fn relative(own: f64, models: f64) -> f64 {
    // A billionth more, so that a quotient such as 0.98 stays what it is.
    ((own / models + 1e-9).min(1.0) * 1e4).floor() / 1e4
}

/// Measures one in a process of its own: this program again, with the same arguments.
fn apart(variant: Option<&str>) -> Result<Measured, StartError> {
    let name = variant.unwrap_or("the model");
    let failed = |error: &dyn std::fmt::Display| invalid(format!("{name} can't be measured: {error}"));
    let program = std::env::current_exe().map_err(|error| failed(&error))?;
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).args(["--only", variant.unwrap_or_default()]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Err(failed(&"see above"));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_never_promises_more_than_was_measured() {
        for (own, models, expected) in
            [(0.98, 1.0, 0.98), (0.49, 0.5, 0.98), (0.99999, 1.0, 0.9999), (0.6, 0.5, 1.0), (0.0, 1.0, 0.0)]
        {
            assert_eq!(relative(own, models), expected, "{own} of {models}");
        }
    }
}
