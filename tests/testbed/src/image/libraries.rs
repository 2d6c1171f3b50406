//! The shared libraries that programs need.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::exec;

/// What a program or library loads.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// Where the loader finds it.
    pub found: BTreeSet<PathBuf>,
    /// Names that it doesn't find.
    pub missing: BTreeSet<String>,
}

/// The libraries and the dynamic loader of these files, as `ldd` finds them in these folders and the system's, each once.
///
/// # Errors
/// When a file is none that is loaded.
pub fn needed(files: &[PathBuf], folders: &[&Path]) -> Result<Needed> {
    let search = std::env::join_paths(folders)?;
    let mut all = Needed::default();
    for file in files {
        let mut ldd = Command::new("ldd");
        let listed = exec::output(ldd.env("LD_LIBRARY_PATH", &search).arg(file));
        let one = read(&listed.with_context(|| file.display().to_string())?);
        all.found.extend(one.found);
        all.missing.extend(one.missing);
    }
    Ok(all)
}

/// What `ldd` prints.
fn read(listed: &str) -> Needed {
    let mut needed = Needed::default();
    for line in listed.lines() {
        if line.contains("not found") {
            needed.missing.extend(line.split_whitespace().next().map(str::to_owned));
        } else {
            let path = line.split_whitespace().find(|word| word.starts_with('/'));
            needed.found.extend(path.map(|path| Path::new(path).to_path_buf()));
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found_and_the_kernels_page_is_not() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f1)\n\tlibx.so.1 => not found\n";
        let needed = read(listed);
        let expected = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(needed.found, expected.into());
        assert_eq!(needed.missing, ["libx.so.1".to_owned()].into());
    }
}
