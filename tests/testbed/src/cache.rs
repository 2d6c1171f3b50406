//! Where everything that outlives a run is kept.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The cache folder: `$MILLRACE_CACHE`, or `~/.cache/millrace`.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Opens the cache folder and makes it where it is missing.
    ///
    /// # Errors
    /// When neither `MILLRACE_CACHE` nor `HOME` is set, or the folder can't be made.
    pub fn open() -> Result<Self> {
        let root = match std::env::var_os("MILLRACE_CACHE") {
            Some(folder) => PathBuf::from(folder),
            None => {
                let home = std::env::var_os("HOME").context("set HOME, or MILLRACE_CACHE to a folder for the cache")?;
                PathBuf::from(home).join(".cache/millrace")
            }
        };
        Self::at(&root)
    }

    /// Opens the cache at this folder.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn at(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root).with_context(|| {
            format!("can't make the cache folder {}; set MILLRACE_CACHE to another", root.display())
        })?;
        // Symbolic links are resolved, because paths are compared with those that /proc shows.
        Ok(Self { root: root.canonicalize()? })
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the folder.
    #[must_use]
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// One folder for each program and version.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// One folder for each cluster that runs, or that ended uncleanly.
    #[must_use]
    pub fn clusters(&self) -> PathBuf {
        self.root.join("clusters")
    }
}

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}
