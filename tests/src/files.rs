//! Real files of many types, found where every development machine has them.

use crate::Bed;
use anyhow::{Context, Result};
use millrace_testbed::repository;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files of one ending that are taken at most.
const PER_ENDING: usize = 2;
/// Larger files are passed over: the gateway's limit is tested elsewhere.
const LARGEST: u64 = 40 << 20;

/// Real files, at most two of each ending, from the Go distribution (its test data has images, archives, programs, keys),
/// this repository, and the Python environment; sorted, so that each run takes the same ones.
///
/// # Errors
/// Go isn't installed, or a folder can't be read.
pub fn corpus(bed: &Bed) -> Result<Vec<PathBuf>> {
    let go = millrace_testbed::exec::output(std::process::Command::new("go").args(["env", "GOROOT"]))?;
    let python = bed.state.python.parent().and_then(Path::parent).context("python is in an environment")?;
    let repository = repository();
    let roots = [
        PathBuf::from(go.trim()).join("src"),
        PathBuf::from(go.trim()).join("misc"),
        repository.join("charts"),
        repository.join("examples"),
        repository.join("server"),
        python.join("lib/python3.11/site-packages/magika"),
        python.join("lib/python3.11/site-packages/numpy"),
    ];
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for root in roots {
        collect(&root, &mut found)?;
    }
    Ok(found.into_values().flatten().collect())
}

/// Adds the files below a folder, by ending.
fn collect(folder: &Path, found: &mut BTreeMap<String, Vec<PathBuf>>) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let data = path.symlink_metadata()?;
        if data.is_dir() {
            collect(&path, found)?;
        } else if data.is_file() && (8..LARGEST).contains(&data.len()) {
            let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            let list = found.entry(ending).or_default();
            if list.len() < PER_ENDING {
                list.push(path);
            }
        }
    }
    Ok(())
}
