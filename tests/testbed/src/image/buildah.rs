//! Building and pushing without a daemon.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{Cache, exec, repository};

/// The name of the image in the cache's storage.
const LOCAL: &str = "localhost/millrace:built";

/// How a registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TLS, with a certificate that is verified.
    Tls,
    /// Plain HTTP, for a registry on this machine.
    PlainHttp,
}

impl Transport {
    /// Plain HTTP for a loopback address, TLS for the rest.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let host = name.split('/').next().unwrap_or_default();
        let host =
            host.strip_prefix("[::1]").map_or_else(|| host.split(':').next().unwrap_or_default(), |_| "localhost");
        if host == "localhost" || host.starts_with("127.") { Self::PlainHttp } else { Self::Tls }
    }
}

/// Builds the image from the staged root.
///
/// # Errors
/// When buildah fails.
pub fn build(cache: &Cache, containerfile: &str, root: &Path) -> Result<()> {
    let mut build = buildah(cache);
    build.args(["build", "--isolation", "chroot", "--format", "oci", "--quiet", "--no-cache", "--timestamp", "0"]);
    build.args(["--tag", LOCAL, "--file"]).arg(repository().join(containerfile)).arg(root);
    exec::output(&mut build).context("install the Debian package buildah")?;
    // Each build would leave the one before behind, whole: the storage shares no layers.
    exec::output(buildah(cache).args(["rmi", "--prune"])).map(|_| ())
}

/// Pushes the built image and gives back its full name.
///
/// # Errors
/// When buildah fails.
pub fn push(cache: &Cache, repository: &str, tag: &str, transport: Transport) -> Result<String> {
    let reference = format!("{repository}:{tag}");
    let mut push = buildah(cache);
    push.args(["push", "--quiet"]);
    if transport == Transport::PlainHttp {
        push.arg("--tls-verify=false");
    }
    push.args([LOCAL, &format!("docker://{reference}")]);
    exec::output(&mut push).with_context(|| format!("can't push {reference}"))?;
    Ok(reference)
}

/// Buildah with its storage in the cache: it leaves nothing elsewhere.
fn buildah(cache: &Cache) -> Command {
    let mut command = Command::new("buildah");
    command.args(["--storage-driver", "vfs", "--root"]).arg(cache.join("containers/storage"));
    command.arg("--runroot").arg(cache.join("containers/run"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        for name in ["127.0.0.1:5000/a/b", "localhost/a", "localhost:5000/a", "[::1]:5000/a"] {
            assert_eq!(Transport::of(name), Transport::PlainHttp, "{name}");
        }
        for name in ["registry.example.com/a", "localhost.example.com/a", "10.0.0.1:5000/a"] {
            assert_eq!(Transport::of(name), Transport::Tls, "{name}");
        }
    }
}
