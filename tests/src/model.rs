//! The model that tests serve: Google's Magika, as its Python package ships it.

use crate::{Bed, python};
use anyhow::Result;
use serde_json::Value;
use std::path::PathBuf;

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
