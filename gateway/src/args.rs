//! The command line. A flag is also an environment variable, in the same words; the pod's own name and namespace come from
//! POD_NAME and POD_NAMESPACE.

use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Millrace's gateway.
#[derive(Debug, Parser)]
#[command(name = "millrace-gateway", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve tenants.
    Serve(Box<ServeArgs>),
    /// Make API keys, or hash them.
    Key {
        /// What to do with a key.
        #[command(subcommand)]
        command: KeyCommand,
    },
}

/// What to do with a key.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Print a new key and its hash. The key is shown this once.
    Create(PepperArgs),
    /// Read a key from standard input and print its hash.
    Hash(PepperArgs),
}

/// Where the pepper is.
#[derive(Debug, Args)]
pub struct PepperArgs {
    /// File with the secret under which keys are hashed.
    #[arg(long, env = "MILLRACE_PEPPER_FILE", default_value = "/etc/millrace-pepper/pepper")]
    pub pepper_file: PathBuf,
}

/// How to serve.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Namespace of the release.
    #[arg(long, env = "POD_NAMESPACE", default_value = "millrace-system")]
    pub namespace: String,
    /// Name of the release: prefix of its Secrets.
    #[arg(long, env = "MILLRACE_RELEASE", default_value = "millrace")]
    pub release: String,
    /// This pod's name, for reports.
    #[arg(long, env = "POD_NAME", default_value = "gateway")]
    pub pod_name: String,
    /// Services answer at SERVICE.NAMESPACE.DOMAIN; empty: by path and model name only.
    #[arg(long, env = "MILLRACE_DOMAIN", default_value = "")]
    pub domain: String,
    /// Tenant of namespaces that none claims; empty: they are refused.
    #[arg(long, env = "MILLRACE_DEFAULT_TENANT", default_value = "")]
    pub default_tenant: String,
    /// The tenants' door, TLS.
    #[arg(long, env = "MILLRACE_ADDRESS", default_value = "0.0.0.0:8443")]
    pub address: SocketAddr,
    /// The operator's door, mutual TLS: /report and /metrics.
    #[arg(long, env = "MILLRACE_ADMIN_ADDRESS", default_value = "0.0.0.0:9443")]
    pub admin_address: SocketAddr,
    /// The kubelet's door, plain: /livez and /readyz.
    #[arg(long, env = "MILLRACE_HEALTH_ADDRESS", default_value = "0.0.0.0:8081")]
    pub health_address: SocketAddr,
    /// Certificate of the tenants' door (PEM); read again when it changes.
    #[arg(long, env = "MILLRACE_TLS_CERT", default_value = "/etc/millrace-tls/tls.crt")]
    pub tls_cert: PathBuf,
    /// Its key (PEM).
    #[arg(long, env = "MILLRACE_TLS_KEY", default_value = "/etc/millrace-tls/tls.key")]
    pub tls_key: PathBuf,
    /// Where the pepper is.
    #[command(flatten)]
    pub pepper: PepperArgs,
    /// Folder for the last good routes; without it none are kept.
    #[arg(long, env = "MILLRACE_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Requests that may wait for a replica, for each service (a tenant: twice as many).
    #[arg(long, env = "MILLRACE_HOLD_REQUESTS", default_value_t = 1000)]
    pub hold_requests: u64,
    /// Bytes that they may occupy.
    #[arg(long, env = "MILLRACE_HOLD_BYTES", default_value_t = 32 << 20)]
    pub hold_bytes: u64,
    /// Client connections at the same time.
    #[arg(long, env = "MILLRACE_MAX_CONNECTIONS", default_value_t = 4096)]
    pub max_connections: usize,
    /// Longest time for a TLS handshake, for a request's head, and of an idle HTTP/1 connection.
    #[arg(long, env = "MILLRACE_HEADER_TIMEOUT", default_value = "30s", value_parser = duration)]
    pub header_timeout: Duration,
    /// Longest silence of a client within a request's body.
    #[arg(long, env = "MILLRACE_BODY_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub body_timeout: Duration,
    /// Between the loss of readiness and the end of listening.
    #[arg(long, env = "MILLRACE_DRAIN_DELAY", default_value = "3s", value_parser = duration)]
    pub drain_delay: Duration,
    /// Longest time to finish what was let in.
    #[arg(long, env = "MILLRACE_DRAIN", default_value = "30s", value_parser = duration)]
    pub drain: Duration,
    /// What is logged: error, warn, info or debug, also by module, such as `info,millrace_gateway=debug`.
    #[arg(long, env = "MILLRACE_LOG", default_value = "info")]
    pub log: String,
}

fn duration(text: &str) -> Result<Duration, String> {
    millrace_crds::Duration::from(text).to_std().ok_or_else(|| "write a time such as 500ms, 10s or 1m30s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_an_environment_variable_of_the_same_words() {
        let command = ServeArgs::augment_args(clap::Command::new("serve"));
        for flag in command.get_arguments() {
            let (long, variable) = (flag.get_long().unwrap(), flag.get_env().and_then(|name| name.to_str()).unwrap());
            let expected = format!("MILLRACE_{}", long.replace('-', "_").to_uppercase());
            assert!(variable == expected || variable.starts_with("POD_"), "--{long}: {variable}");
        }
    }
}
