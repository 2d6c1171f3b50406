//! The model that tests and figures use: Google's Magika, as its Python package ships it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{exec, repository};

/// The ONNX file inside the package.
///
/// # Errors
/// When the package isn't in the environment of this interpreter.
pub fn magika(python: &Path) -> Result<PathBuf> {
    let script = repository().join("tests/python/magika_reference.py");
    let answer: Value = serde_json::from_str(&exec::output(Command::new(python).arg(script).arg("--model"))?)?;
    Ok(PathBuf::from(answer["model"].as_str().context("the script names the model")?))
}
