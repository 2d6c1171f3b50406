//! The part in Python: ONNX Runtime's quantisation exists in that language alone, and the server's image has none.

use crate::error::StartError;
use millrace_crds::conditions::reason;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
};

const SCRIPT: &str = include_str!("quantize.py");
const REQUIREMENTS: &str = include_str!("requirements.txt");
/// The script's exit code for a module that isn't there.
const MISSING: i32 = 3;

/// What was done.
#[derive(Debug, Deserialize)]
pub struct Done {
    /// Version of ONNX Runtime's tooling.
    pub onnxruntime: String,
    /// Version of onnx.
    pub onnx: String,
    /// Operators that the new model has more of, and how many more.
    pub new: BTreeMap<String, u64>,
}

fn failed(message: impl Into<String>) -> StartError {
    StartError::new(reason::INVALID, message)
}

/// How to get a Python that can do it.
fn cure() -> String {
    let packages: Vec<&str> = REQUIREMENTS.lines().filter(|line| !line.starts_with('#')).collect();
    format!(
        "quantize needs a Python with onnx and onnxruntime, which the server's image doesn't have. On your machine: `python3 -m venv quantize && quantize/bin/pip install {}`, then give --python quantize/bin/python",
        packages.join(" ")
    )
}

/// Quantises `model` into `output`; with a folder of calibration tensors and a provider statically.
///
/// # Errors
/// There is no such Python, it lacks a module, or the model can't be quantised.
pub fn quantize(
    python: &Path,
    model: &Path,
    output: &Path,
    calibration: Option<(&Path, &str)>,
) -> Result<Done, StartError> {
    let mut command = Command::new(python);
    command.args([OsStr::new("-c"), OsStr::new(SCRIPT), model.as_os_str(), output.as_os_str()]);
    if let Some((folder, provider)) = calibration {
        command.arg(folder).arg(provider);
    }
    let ran = command.stdin(Stdio::null()).output();
    let ran = ran.map_err(|error| failed(format!("{} can't be run: {error}. {}", python.display(), cure())))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    if ran.status.code() == Some(MISSING) {
        return Err(failed(format!("{}: {}. {}", python.display(), said.trim(), cure())));
    }
    if !ran.status.success() {
        return Err(failed(format!("the model can't be quantised: {}", said.trim())));
    }
    // Libraries may print as well; the object is the last line.
    let printed = String::from_utf8_lossy(&ran.stdout);
    let last = printed.lines().next_back().unwrap_or_default();
    serde_json::from_str(last).map_err(|error| failed(format!("quantising told nothing of itself: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(python: &str) -> String {
        let nowhere = Path::new("/nowhere");
        quantize(Path::new(python), nowhere, nowhere, None).unwrap_err().message
    }

    #[test]
    fn without_python_it_says_how_to_get_one() {
        let error = tried("/nowhere/python");
        assert!(error.starts_with("/nowhere/python can't be run"), "{error}");
        assert!(error.contains("pip install onnx==1.23.2 onnxruntime==1.31.1"), "{error}");
        // Stands for a Python that ends as the script does where a module is missing.
        let folder = tempfile::tempdir().unwrap();
        let bare = folder.path().join("python");
        std::fs::write(&bare, "#!/bin/sh\necho \"No module named 'onnx'\" >&2\nexit 3\n").unwrap();
        std::fs::set_permissions(&bare, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let error = tried(bare.to_str().unwrap());
        assert!(error.contains("No module named 'onnx'. quantize needs a Python with"), "{error}");
    }
}
