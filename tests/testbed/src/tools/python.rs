//! Python programs, in virtual environments: the clients that the tests run, and peers of the bench.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{Cache, Done, exec, repository};

/// A virtual environment for one lock file: its folder's name has the file's digest.
#[derive(Debug, Clone)]
pub struct Python {
    lock: PathBuf,
    folder: PathBuf,
}

impl Python {
    /// The clients.
    ///
    /// # Errors
    /// When their lock file can't be read.
    pub fn of(cache: &Cache) -> Result<Self> {
        Self::locked(cache, &repository().join("tests/python/requirements.txt"))
    }

    /// Whatever a lock file pins.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn locked(cache: &Cache, lock: &Path) -> Result<Self> {
        let text = std::fs::read(lock).with_context(|| lock.display().to_string())?;
        let folder = cache.join(format!("venv-{}", &exec::digest(&[&text])[..8]));
        Ok(Self { lock: lock.to_owned(), folder })
    }

    /// The environment's interpreter.
    #[must_use]
    pub fn interpreter(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Makes the environment unless it is complete.
    ///
    /// # Errors
    /// When there is no Python 3.11, or pip fails.
    pub fn ensure(&self, cache: &Cache) -> Result<Done> {
        // A virtual environment can't be renamed, so a mark tells a complete one.
        let complete = self.folder.join(".complete");
        if complete.is_file() {
            return Ok(Done::Cached);
        }
        let version = exec::output(Command::new("python3").args(["-c", "import sys; print(sys.version_info[:2])"]))?;
        ensure!(
            version.trim() == "(3, 11)",
            "python3 is {}, and the lock file is for (3, 11): put Python 3.11 first in PATH",
            version.trim()
        );
        drop(std::fs::remove_dir_all(&self.folder));
        exec::output(Command::new("python3").args(["-m", "venv"]).arg(&self.folder))?;
        let mut install = self.pip("install");
        install.args(["--quiet", "--no-cache-dir", "--require-hashes", "--only-binary", ":all:", "-r"]).arg(&self.lock);
        std::fs::create_dir_all(cache.join("log"))?;
        exec::logged(&mut install, &cache.join("log/python.log"))
            .context("needs a Python package index that answers")?;
        std::fs::write(&complete, "")?;
        Ok(Done::Made)
    }

    /// A `pip` command of the environment.
    #[must_use]
    pub fn pip(&self, subcommand: &str) -> Command {
        let mut pip = Command::new(self.interpreter());
        pip.args(["-m", "pip", "--disable-pip-version-check", subcommand]);
        pip
    }
}
