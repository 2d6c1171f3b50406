//! The product's image: one for its three programs, from the Containerfile and a staged root.

mod buildah;
mod libraries;
mod root;
mod runtime;

use std::process::Command;

use anyhow::Result;

use crate::{Cache, exec, repository};

pub use buildah::{Transport, push};
pub use runtime::{Runtime, resolve};

/// The programs in the image.
pub const PROGRAMS: [&str; 3] = ["millrace-operator", "millrace-gateway", "millrace-server"];

/// How the programs are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build: optimised, without link-time optimisation.
    Image,
    /// What is released.
    Release,
    /// Not optimised.
    Dev,
}

impl Profile {
    /// The name that cargo knows it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Release => "release",
            Self::Dev => "dev",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            other => other.name(),
        }
    }
}

/// Compiles the programs, stages the root and builds the image into the cache's storage.
///
/// # Errors
/// When a step fails; the message has what its program said.
pub fn build(cache: &Cache, profile: Profile, runtime: Runtime<'_>) -> Result<()> {
    compile(profile)?;
    let target = exec::target_folder()?;
    let staged = root::stage(&target.join("image-root"), &target.join(profile.folder()), runtime)?;
    buildah::build(cache, runtime.containerfile(), &staged)
}

/// A tag for these sources: the commit, or `dev` where there is none.
#[must_use]
pub fn tag() -> String {
    let mut git = Command::new("git");
    git.arg("-C").arg(repository()).args(["rev-parse", "--short=12", "HEAD"]);
    exec::output(&mut git).map_or_else(|_| "dev".to_owned(), |commit| commit.trim().to_owned())
}

fn compile(profile: Profile) -> Result<()> {
    let mut cargo = exec::cargo();
    cargo.args(["build", "--locked", "--profile", profile.name()]);
    for program in PROGRAMS {
        cargo.args(["--package", program, "--bin", program]);
    }
    exec::shown_live(&mut cargo)
}
