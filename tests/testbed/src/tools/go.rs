//! Programs from Go modules: `go.mod` and `go.sum` below `tests/testbed/go` pin what is built.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{Cache, Done, exec, repository};

use super::go_mod;

/// A module of ours that has the programs of one project as its tools.
#[derive(Debug, Clone, Copy)]
pub struct GoModule {
    /// The folder below `tests/testbed/go`, and the name that is shown.
    name: &'static str,
    /// The module whose version counts.
    module: &'static str,
    /// What is built, and the name of the program where the package's path ends in another.
    programs: &'static [(&'static str, &'static str)],
    /// Variables that get the version at link time: `{version}`, `{major}` and `{minor}` are filled in.
    stamps: &'static [&'static str],
}

/// The control plane, the kubelet, kube-proxy and kubectl.
pub const KUBERNETES: GoModule = GoModule {
    name: "kubernetes",
    module: "k8s.io/kubernetes",
    programs: &[
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
        ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
        ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
        ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
        ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    ],
    // Without these, clients see version 0.0 and refuse to work with it.
    stamps: &[
        "k8s.io/component-base/version.gitVersion=v{version}",
        "k8s.io/component-base/version.gitMajor={major}",
        "k8s.io/component-base/version.gitMinor={minor}",
    ],
};

/// The store of the API server.
pub const ETCD: GoModule = GoModule {
    name: "etcd",
    module: "go.etcd.io/etcd/server/v3",
    programs: &[("etcd", "go.etcd.io/etcd/server/v3")],
    stamps: &[],
};

/// The container runtime.
pub const CONTAINERD: GoModule = GoModule {
    name: "containerd",
    module: "github.com/containerd/containerd/v2",
    programs: &[
        ("containerd", "github.com/containerd/containerd/v2/cmd/containerd"),
        ("containerd-shim-runc-v2", "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"),
        ("ctr", "github.com/containerd/containerd/v2/cmd/ctr"),
    ],
    stamps: &["github.com/containerd/containerd/v2/version.Version={version}"],
};

/// The OCI registry.
pub const REGISTRY: GoModule = GoModule {
    name: "registry",
    module: "github.com/distribution/distribution/v3",
    programs: &[("registry", "github.com/distribution/distribution/v3/cmd/registry")],
    stamps: &[],
};

/// The cluster's DNS, with a `main.go` of ours that links few plugins.
pub const COREDNS: GoModule =
    GoModule { name: "coredns", module: "github.com/coredns/coredns", programs: &[("coredns", ".")], stamps: &[] };

/// The simulator of nodes.
pub const KWOK: GoModule = GoModule {
    name: "kwok",
    module: "sigs.k8s.io/kwok",
    programs: &[("kwok", "sigs.k8s.io/kwok/cmd/kwok")],
    stamps: &["sigs.k8s.io/kwok/pkg/consts.Version=v{version}"],
};

/// The installer of charts.
pub const HELM: GoModule = GoModule {
    name: "helm",
    module: "helm.sh/helm/v4",
    programs: &[("helm", "helm.sh/helm/v4/cmd/helm")],
    stamps: &["helm.sh/helm/v4/internal/version.version=v{version}"],
};

/// One module at the version that its `go.mod` pins.
#[derive(Debug)]
pub struct Build {
    module: GoModule,
    source: PathBuf,
    version: String,
    /// Where the programs are, or will be.
    pub folder: PathBuf,
}

impl Build {
    /// Reads the pins. The folder's name has their digest, so that a changed pin is a new build.
    ///
    /// # Errors
    /// When the lock files can't be read.
    pub fn of(module: GoModule, cache: &Cache) -> Result<Self> {
        let source = repository().join("tests/testbed/go").join(module.name);
        let go_mod = std::fs::read_to_string(source.join("go.mod")).with_context(|| source.display().to_string())?;
        let go_sum = std::fs::read(source.join("go.sum"))?;
        let main = std::fs::read(source.join("main.go")).unwrap_or_default();
        let version = go_mod::required(&go_mod, module.module)
            .with_context(|| format!("{}/go.mod does not require {}", source.display(), module.module))?
            .to_owned();
        let stamps = module.stamps.concat();
        let digest = exec::digest(&[go_mod.as_bytes(), &go_sum, &main, stamps.as_bytes()]);
        let folder = cache.bin().join(format!("{}-{version}-{}", module.name, &digest[..8]));
        Ok(Self { module, source, version, folder })
    }

    /// For the step list.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.module.name, self.version)
    }

    /// Builds the programs unless they are there.
    ///
    /// # Errors
    /// When `go` is missing or a build fails.
    pub fn ensure(&self, cache: &Cache) -> Result<Done> {
        if self.folder.is_dir() {
            return Ok(Done::Cached);
        }
        let partial = self.folder.with_extension("partial");
        drop(std::fs::remove_dir_all(&partial));
        std::fs::create_dir_all(&partial)?;
        std::fs::create_dir_all(cache.join("log"))?;
        for (program, package) in self.module.programs {
            let log = cache.join("log").join(format!("build-{program}.log"));
            exec::logged(&mut self.command(&partial.join(program), package), &log)
                .context("needs Go 1.26 or newer in PATH (https://go.dev/dl) and a Go module proxy that answers")?;
        }
        // Renamed last: a folder without the ending is complete.
        std::fs::rename(&partial, &self.folder)?;
        Ok(Done::Made)
    }

    fn command(&self, program: &Path, package: &str) -> Command {
        let mut command = Command::new("go");
        command
            .current_dir(&self.source)
            .args(["build", "-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags"])
            .arg(self.ldflags())
            .arg("-o")
            .arg(program)
            .arg(package)
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            .env_remove("GOFLAGS");
        command
    }

    fn ldflags(&self) -> String {
        let mut numbers = self.version.split('.');
        let (major, minor) = (numbers.next().unwrap_or("0"), numbers.next().unwrap_or("0"));
        let mut flags = "-s -w".to_owned();
        for stamp in self.module.stamps {
            let stamp = stamp.replace("{version}", &self.version).replace("{major}", major).replace("{minor}", minor);
            flags.push_str(&format!(" -X {stamp}"));
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_has_lock_files_and_pins_a_version() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        for module in [KUBERNETES, ETCD, CONTAINERD, REGISTRY, COREDNS, KWOK, HELM] {
            let build = Build::of(module, &cache).unwrap();
            assert!(build.version.starts_with(|c: char| c.is_ascii_digit()), "{build:?}");
            assert!(!build.ldflags().contains('{'), "{build:?}");
        }
    }

    #[test]
    fn the_version_is_stamped() {
        let folder = tempfile::tempdir().unwrap();
        let build = Build::of(KUBERNETES, &Cache::at(folder.path()).unwrap()).unwrap();
        assert!(build.ldflags().contains(&format!("gitVersion=v{}", build.version)));
        assert!(build.ldflags().contains("gitMajor=1"));
    }
}
