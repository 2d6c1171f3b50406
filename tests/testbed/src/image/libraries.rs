//! The shared libraries that programs need.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::exec;

/// The libraries and the dynamic loader of these files, as `ldd` finds them, each once.
///
/// # Errors
/// When a library is missing on this machine.
pub fn needed(files: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for file in files {
        let listed = exec::output(Command::new("ldd").arg(file))?;
        found.extend(paths(&listed).with_context(|| file.display().to_string())?);
    }
    Ok(found)
}

/// The paths in what `ldd` prints.
fn paths(listed: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in listed.lines() {
        anyhow::ensure!(!line.contains("not found"), "a library is missing: {}", line.trim());
        let path = line.split_whitespace().find(|word| word.starts_with('/'));
        found.extend(path.map(|path| Path::new(path).to_path_buf()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found_and_the_kernels_page_is_not() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f1)\n";
        let expected = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(paths(listed).unwrap(), expected);
        assert!(paths("\tlibx.so => not found\n").is_err());
    }
}
