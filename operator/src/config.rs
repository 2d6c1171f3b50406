//! What the operator is told on its command line; every flag is also an environment variable `MILLRACE_<FLAG>`.

use clap::{Parser, Subcommand, ValueEnum};
use millrace_crds::store::Store;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Turns InferenceServices into running model servers.
#[derive(Debug, Parser)]
#[command(name = "millrace-operator", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the operator.
    Run(Box<Flags>),
    /// Prints the RBAC rules that the operator uses, as YAML.
    Rbac,
}

/// Flags of `run`.
#[derive(Clone, Debug, Parser)]
pub struct Flags {
    /// Namespace of the release: of its Secrets, lease and gateways.
    #[arg(long, env = "MILLRACE_NAMESPACE", default_value = "millrace")]
    pub namespace: String,
    /// Name of the release: prefix of its Secrets and of its lease.
    #[arg(long, env = "MILLRACE_RELEASE", default_value = "millrace")]
    pub release: String,
    /// Image that holds `/millrace-server`.
    #[arg(long, env = "MILLRACE_IMAGE")]
    pub image: String,
    /// Image that holds it and the libraries of GPUs, for services that run on TensorRT or CUDA; empty: the other one.
    #[arg(long, env = "MILLRACE_GPU_IMAGE", default_value = "")]
    pub gpu_image: String,
    /// Pull policy of both.
    #[arg(long, env = "MILLRACE_IMAGE_PULL_POLICY", default_value = "IfNotPresent")]
    pub image_pull_policy: String,
    /// Domain below which services are reached by host name.
    #[arg(long, env = "MILLRACE_DOMAIN", default_value = "")]
    pub domain: String,
    /// Base of the services' urls from outside, such as `https://gateway.example`.
    #[arg(long, env = "MILLRACE_GATEWAY_URL", default_value = "")]
    pub gateway_url: String,
    /// The gateway's name inside the cluster, such as `millrace-gateway.millrace.svc`.
    #[arg(long, env = "MILLRACE_GATEWAY_ADDRESS", default_value = "")]
    pub gateway_address: String,
    /// YAML list of the platform's stores.
    #[arg(long, env = "MILLRACE_STORES")]
    pub stores: Option<PathBuf>,
    /// Bytes of models that servers of one namespace may keep on a node, in the claim that the namespace's label names.
    #[arg(long, env = "MILLRACE_NODE_CACHE_LIMIT", default_value_t = 20 << 30)]
    pub node_cache_limit: u64,
    /// Tenant of namespaces that no tenant claims.
    #[arg(long, env = "MILLRACE_DEFAULT_TENANT", default_value = "")]
    pub default_tenant: String,
    /// Whether the cluster's network enforces NetworkPolicy.
    #[arg(long, env = "MILLRACE_NETWORK_POLICY_ENFORCED", value_enum, ignore_case = true, default_value = "Unknown")]
    pub network_policy_enforced: Enforced,
    /// File to which the scaler writes what each of its passes saw and decided, as lines of JSON.
    ///
    /// At 256 MiB it is renamed to FILE.old, over an older one. `cargo xtask bench autoscale --replay FILE` repeats the decisions.
    #[arg(long, env = "MILLRACE_RECORD_DECISIONS", value_name = "FILE")]
    pub record_decisions: Option<PathBuf>,
    /// Where health and metrics answer.
    #[arg(long, env = "MILLRACE_HEALTH_ADDRESS", default_value = "0.0.0.0:8081")]
    pub health_address: SocketAddr,
    /// Reconciliations at the same time.
    #[arg(long, env = "MILLRACE_CONCURRENCY", default_value_t = 8)]
    pub concurrency: u16,
    /// What is logged: error, warn, info or debug, also by module, such as `info,millrace_operator=debug`.
    #[arg(long, env = "MILLRACE_LOG", default_value = "info")]
    pub log: String,
    /// Name of this replica: the holder of the lease.
    #[arg(long, env = "POD_NAME", default_value = "millrace-operator")]
    pub pod_name: String,
}

/// What the platform says about NetworkPolicy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Enforced {
    /// It says nothing.
    Unknown,
    /// It is enforced.
    True,
    /// It isn't.
    False,
}

/// What planning and building need of the flags: no addresses of our own, no paths.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the release.
    pub namespace: String,
    /// Name of the release.
    pub release: String,
    /// The server's image.
    pub image: String,
    /// The one for GPUs; empty: the same.
    pub gpu_image: String,
    /// Their pull policy.
    pub image_pull_policy: String,
    /// Domain of host names; empty: `SERVICE.NAMESPACE`.
    pub domain: String,
    /// Base url from outside; empty: none.
    pub gateway_url: String,
    /// Name inside the cluster; empty: none.
    pub gateway_address: String,
    /// The platform's stores.
    pub stores: Vec<Store>,
    /// Bytes of models that servers of one namespace may keep on a node.
    pub node_cache_limit: u64,
    /// Tenant of unclaimed namespaces; empty: none.
    pub default_tenant: String,
    /// What the platform says about NetworkPolicy.
    pub network_policy_enforced: Enforced,
}

impl Flags {
    /// The settings, with the stores read from their file.
    ///
    /// # Errors
    /// The stores' file can't be read or isn't a list of stores.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let stores = match &self.stores {
            None => Vec::new(),
            Some(path) => parse_stores(&std::fs::read_to_string(path)?)?,
        };
        Ok(Settings {
            namespace: self.namespace.clone(),
            release: self.release.clone(),
            image: self.image.clone(),
            gpu_image: self.gpu_image.clone(),
            image_pull_policy: self.image_pull_policy.clone(),
            domain: self.domain.clone(),
            gateway_url: self.gateway_url.trim_end_matches('/').to_owned(),
            gateway_address: self.gateway_address.clone(),
            stores,
            node_cache_limit: self.node_cache_limit,
            default_tenant: self.default_tenant.clone(),
            network_policy_enforced: self.network_policy_enforced,
        })
    }
}

/// An empty text is an empty list.
fn parse_stores(text: &str) -> anyhow::Result<Vec<Store>> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_saphyr::from_str(text).map_err(|error| anyhow::anyhow!("the stores' file isn't a list of stores: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args as _;

    #[test]
    fn a_flag_is_an_environment_variable_of_the_same_words() {
        let command = Flags::augment_args(clap::Command::new("run"));
        for flag in command.get_arguments() {
            let (long, variable) = (flag.get_long().unwrap(), flag.get_env().and_then(|name| name.to_str()));
            let expected = format!("MILLRACE_{}", long.replace('-', "_").to_uppercase());
            assert!(variable == Some(&expected) || variable == Some("POD_NAME"), "--{long}: {variable:?}");
        }
    }
}
