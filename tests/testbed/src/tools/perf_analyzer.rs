//! Triton's load generator, a client like any other, with the libraries that it links: taken out of their packages, so
//! that nothing is installed.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{Cache, Done, exec, repository};

use super::{Python, wheels};

/// What is taken out of the packages, by their places in them.
const FILES: [&str; 3] = [
    "tritonclient-2.44.0.data/data/bin/perf_analyzer",
    "nvidia/cuda_runtime/lib/libcudart.so.12",
    "usr/lib/x86_64-linux-gnu/libb64.so.0d",
];

/// The program, in a folder with its libraries.
#[derive(Debug, Clone)]
pub struct PerfAnalyzer {
    lock: PathBuf,
    folder: PathBuf,
}

impl PerfAnalyzer {
    /// Reads the pins.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn of(cache: &Cache) -> Result<Self> {
        let lock = repository().join("tests/testbed/perf_analyzer/requirements.txt");
        let text = std::fs::read(&lock).with_context(|| lock.display().to_string())?;
        let folder = cache.join(format!("perf-analyzer-{}", &exec::digest(&[&text])[..8]));
        Ok(Self { lock, folder })
    }

    /// The program; its libraries lie beside it.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.folder.join("perf_analyzer")
    }

    /// Downloads and unpacks, unless it is done.
    ///
    /// # Errors
    /// When a package can't be had: those of Python are for x86-64, and one is Debian's.
    pub fn ensure(&self, python: &Python) -> Result<Done> {
        if self.folder.is_dir() {
            return Ok(Done::Cached);
        }
        let partial = self.folder.with_extension("partial");
        wheels::unpack(python, &self.lock, &partial)?;
        // As anybody, without installing it; apt checks it against Debian's signature.
        exec::output(Command::new("apt-get").args(["--quiet", "download", "libb64-0d"]).current_dir(&partial))
            .context("needs Debian's package libb64-0d")?;
        let package = std::fs::read_dir(&partial)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|ending| ending == "deb"))
            .context("apt-get left no package")?;
        exec::output(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&partial))?;
        let whole = partial.join("whole");
        std::fs::create_dir_all(&whole)?;
        for file in FILES {
            let name = Path::new(file).file_name().context("a file has a name")?;
            std::fs::rename(partial.join(file), whole.join(name)).with_context(|| format!("no package has {file}"))?;
        }
        // Wheels are unpacked without the modes of their files.
        std::fs::set_permissions(whole.join("perf_analyzer"), std::fs::Permissions::from_mode(0o755))?;
        std::fs::rename(&whole, &self.folder)?;
        std::fs::remove_dir_all(&partial)?;
        Ok(Done::Made)
    }
}
