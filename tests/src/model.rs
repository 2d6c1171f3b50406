//! The models that tests serve, and what their references answer.

use crate::{Bed, python};
use anyhow::{Context, Result};
use millrace_testbed::{exec, repository};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Magika's own answers (`{"label", "score"}`) for files, in order.
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

/// The reference's embeddings of texts, by the model and tokenizer in a folder.
///
/// # Errors
/// The reference fails.
pub fn minilm_embeddings(bed: &Bed, folder: &Path, texts: &[&str]) -> Result<Vec<Vec<f64>>> {
    let mut command = Command::new(&bed.state.python);
    command.arg(repository().join("tests/python/minilm_reference.py"));
    command.arg(folder.join("model.onnx")).arg(folder.join("tokenizer.json")).arg("256");
    let mut printed: Value = serde_json::from_str(&exec::output_with_input(&mut command, &json!(texts).to_string())?)?;
    Ok(serde_json::from_value(printed["embeddings"].take())?)
}

/// The reference's scores (`{"sfw", "nsfw"}`) of pictures, in order. `models` is where models and packages lie.
///
/// # Errors
/// The reference fails.
pub fn nsfw_scores(bed: &Bed, models: &Path, pictures: &[PathBuf]) -> Result<Vec<Value>> {
    let mut command = Command::new(&bed.state.python);
    command.arg(repository().join("tests/python/nsfw_reference.py"));
    command.arg(models.join("python")).arg(models.join("nsfw/open-nsfw.onnx"));
    Ok(serde_json::from_str(&exec::output_with_input(&mut command, &json!(pictures).to_string())?)?)
}

/// The reference's stretches of speech in an audio file, in samples of 16,000 a second. `models` is where models and packages
/// lie.
///
/// # Errors
/// The reference fails.
pub fn speech_stretches(bed: &Bed, models: &Path, audio: &Path) -> Result<Vec<[f64; 2]>> {
    let mut command = Command::new(&bed.state.python);
    command.arg(repository().join("tests/python/speech_reference.py"));
    command.arg(models.join("python")).arg(models.join("vad/silero_vad.onnx")).arg("16000");
    let asked = json!({"files": [audio], "options": {}}).to_string();
    let mut printed: Value = serde_json::from_str(&exec::output_with_input(&mut command, &asked)?)?;
    Ok(serde_json::from_value(printed[0]["stretches"].take())?)
}

/// Images that are drawn into a folder, and what RapidOCR, by the models in another, reads in them: `{"file", "alone"}` for each.
///
/// # Errors
/// The reference fails.
pub fn ocr_answers(bed: &Bed, models: &Path, folder: &Path) -> Result<Vec<Value>> {
    let mut command = Command::new(&bed.state.python);
    command.arg(repository().join("tests/python/ocr_reference.py")).arg(models).arg(folder);
    Ok(serde_json::from_str(&exec::output(&mut command)?)?)
}

/// SHA-256 of a file, as a manifest writes it.
///
/// # Errors
/// The file can't be read.
pub fn digest(file: &Path) -> Result<String> {
    let printed = exec::output(Command::new("sha256sum").arg(file))?;
    printed.split_whitespace().next().map(str::to_owned).context("sha256sum prints a digest first")
}
