//! The model that tests serve: Google's Magika, as its Python package ships it.

use crate::{Bed, python};
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::PathBuf;

/// The ONNX file inside the package.
///
/// # Errors
/// The package isn't in the environment.
pub fn magika(bed: &Bed) -> Result<PathBuf> {
    let answer = python(bed, "magika_reference.py", &["--model"])?;
    Ok(PathBuf::from(answer["model"].as_str().context("the script names the model")?))
}

/// The package's own answers (`{"label", "score"}`) for files, in order.
///
/// # Errors
/// The package fails.
pub fn magika_answers(bed: &Bed, files: &[PathBuf]) -> Result<Vec<Value>> {
    let paths: Vec<&str> = files.iter().filter_map(|file| file.to_str()).collect();
    match python(bed, "magika_reference.py", &paths)? {
        Value::Array(answers) => Ok(answers),
        other => anyhow::bail!("the reference printed no list but {other}"),
    }
}
