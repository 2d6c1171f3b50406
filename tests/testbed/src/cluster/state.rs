//! What is known of a cluster while it runs: one JSON file that tests and clients read.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::Cache;

use super::name::ClusterName;
use super::subnets::Index;

/// The file's name in the state folder.
const FILE: &str = "cluster.json";

/// A cluster's description. The variable `MILLRACE_TESTBED` names the file that holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClusterState {
    /// The cluster's name.
    pub name: ClusterName,
    /// Its place among the clusters of this machine.
    pub index: Index,
    /// The folder that holds everything of it.
    pub folder: PathBuf,
    /// For clients on the host, with all rights.
    pub kubeconfig: PathBuf,
    /// The name of the network namespace.
    pub netns: String,
    /// The API server, the S3 server, the registry and CoreDNS.
    pub control_plane: Ipv4Addr,
    /// The real nodes.
    pub nodes: Vec<Node>,
    /// The registry.
    pub registry: Registry,
    /// The S3 server.
    pub s3: S3,
    /// The https server over the same folder.
    pub files: Files,
    /// A folder with `kubectl`, `helm` and `ctr`, for PATH.
    pub tools: PathBuf,
    /// The interpreter of the Python environment with the clients.
    pub python: PathBuf,
    /// The shared library of ONNX Runtime.
    pub ort_library: PathBuf,
    /// The product's image, once it was pushed.
    pub image: Option<String>,
    /// The product's Helm chart.
    pub chart: PathBuf,
    /// The requests that the product's service accounts made, one JSON object a line.
    pub audit_log: PathBuf,
}

/// A real node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its address: NodePorts are served there, too.
    pub ip: Ipv4Addr,
    /// The addresses of its pods.
    pub pod_cidr: String,
    /// Its container runtime.
    pub containerd_socket: PathBuf,
}

/// An OCI registry that speaks plain HTTP.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registry {
    /// `HOST:PORT`, the same from the host and from the nodes: images are named by it.
    pub host: String,
}

/// An S3 server over a folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct S3 {
    /// Its URL for pods.
    pub endpoint: String,
    /// Its URL from the host.
    pub host_endpoint: String,
    /// The region that clients sign for.
    pub region: String,
    /// The key's id.
    pub access_key: String,
    /// The key.
    pub secret_key: String,
    /// Buckets are folders here, and objects files.
    pub folder: PathBuf,
}

/// An https server over the S3 server's folder, with a certificate that only the cluster's authority vouches for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Files {
    /// Its URL, for pods and from the host: `GET ENDPOINT/BUCKET/KEY`.
    pub endpoint: String,
    /// The bearer token that it asks for.
    pub token: String,
    /// The file with the authority's certificate.
    pub ca: PathBuf,
}

impl ClusterState {
    /// The folder of a cluster of this name.
    #[must_use]
    pub fn folder_of(cache: &Cache, name: &ClusterName) -> PathBuf {
        cache.clusters().join(name.to_string())
    }

    /// The file that holds this description.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Reads the description of a cluster, if it has a folder with one.
    ///
    /// # Errors
    /// When the file is there and can't be read.
    pub fn of(cache: &Cache, name: &ClusterName) -> Result<Option<Self>> {
        let file = Self::folder_of(cache, name).join(FILE);
        if file.is_file() { Self::read(&file).map(Some) } else { Ok(None) }
    }

    /// Reads a description.
    ///
    /// # Errors
    /// When the file can't be read or is of another version.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| {
            format!(
                "{} was written by another version: take the cluster down with `cargo xtask cluster down`",
                file.display()
            )
        })
    }

    /// Writes the description, whole or not at all.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn write(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let partial = self.folder.join("cluster.json.partial");
        std::fs::write(&partial, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&partial, self.file()).with_context(|| format!("can't write {}", self.file().display()))
    }

    /// The names of the clusters that have a folder, running or not.
    ///
    /// # Errors
    /// When the folder of clusters can't be read.
    pub fn names(cache: &Cache) -> Result<Vec<ClusterName>> {
        let Ok(entries) = std::fs::read_dir(cache.clusters()) else { return Ok(Vec::new()) };
        let mut names: Vec<ClusterName> =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// The folder of a node.
    #[must_use]
    pub fn node_folder(&self, node: &str) -> PathBuf {
        self.folder.join(node)
    }
}
