//! Programs from crates.io, at a fixed version and with the lock file that they were published with.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{Cache, Done, exec};

/// A program that `cargo install` builds into the cache.
#[derive(Debug, Clone, Copy)]
pub struct CargoTool {
    /// The crate, and the program.
    pub name: &'static str,
    /// The exact version.
    pub version: &'static str,
    /// The features.
    pub features: &'static str,
}

/// An S3 server over a folder.
pub const S3S_FS: CargoTool = CargoTool { name: "s3s-fs", version: "0.14.1", features: "binary" };

/// The check of licences, bans, sources and advisories.
pub const CARGO_DENY: CargoTool = CargoTool { name: "cargo-deny", version: "0.20.2", features: "" };

/// The maker of the third-party notice.
pub const CARGO_ABOUT: CargoTool = CargoTool { name: "cargo-about", version: "0.9.3", features: "cli" };

impl CargoTool {
    /// For the step list.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// Where the program is, or will be.
    #[must_use]
    pub fn program(&self, cache: &Cache) -> PathBuf {
        self.folder(cache).join("bin").join(self.name)
    }

    /// Builds the program unless it is there.
    ///
    /// # Errors
    /// When the build fails.
    pub fn ensure(&self, cache: &Cache) -> Result<Done> {
        if self.program(cache).is_file() {
            return Ok(Done::Cached);
        }
        std::fs::create_dir_all(cache.join("log"))?;
        let target = cache.join(format!("build-{}", self.name));
        let mut command = Command::new("cargo");
        command
            .args(["install", self.name, "--version", self.version, "--locked", "--root"])
            .arg(self.folder(cache))
            .args(["--features", self.features])
            // Its own: the workspace's would be locked, and this one is removed.
            .env("CARGO_TARGET_DIR", &target)
            .current_dir(cache.root());
        exec::logged(&mut command, &cache.join("log").join(format!("install-{}.log", self.name)))
            .context("needs cargo in PATH and a crates.io registry that answers")?;
        drop(std::fs::remove_dir_all(&target));
        Ok(Done::Made)
    }

    fn folder(&self, cache: &Cache) -> PathBuf {
        cache.bin().join(format!("{}-{}", self.name, self.version))
    }
}
