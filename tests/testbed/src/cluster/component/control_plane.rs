//! The API server, the controller manager and the scheduler.

use std::fs;

use anyhow::Result;

use super::{Site, etcd};
use crate::cluster::process::Program;

/// Every request of the product's service accounts is recorded, so that a test can compare its RBAC rules with the
/// verbs that it used.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: [\"system:serviceaccounts:millrace-system\"]
- level: None
";

/// The API server, with RBAC, node isolation and Pod Security admission.
///
/// # Errors
/// When its configuration can't be written.
pub fn api_server(site: Site<'_>) -> Result<Program> {
    let policy = site.folder("audit.yaml");
    fs::write(&policy, AUDIT_POLICY)?;
    let (index, pki) = (site.state.index, site.pki);
    let arguments = [
        format!("--etcd-servers={}", etcd::URL),
        format!("--bind-address={}", site.state.control_plane),
        format!("--advertise-address={}", site.state.control_plane),
        "--secure-port=6443".to_owned(),
        format!("--tls-cert-file={}", pki.file("apiserver.crt")),
        format!("--tls-private-key-file={}", pki.file("apiserver.key")),
        format!("--client-ca-file={}", pki.file("ca.crt")),
        format!("--service-account-key-file={}", pki.file("sa.pub")),
        format!("--service-account-signing-key-file={}", pki.file("sa.key")),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-cluster-ip-range={}", index.services()),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        format!("--kubelet-client-certificate={}", pki.file("admin.crt")),
        format!("--kubelet-client-key={}", pki.file("admin.key")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--profiling=false".to_owned(),
        format!("--audit-policy-file={policy}"),
        format!("--audit-log-path={}", site.state.audit_log.display()),
        "--audit-log-maxsize=200".to_owned(),
    ];
    Ok(Program::new("kube-apiserver", &site.tools.kubernetes.join("kube-apiserver"), arguments))
}

/// The controller manager.
#[must_use]
pub fn controller_manager(site: Site<'_>) -> Program {
    let pki = site.pki;
    let arguments = [
        site.kubeconfig_flag("kcm"),
        format!("--service-account-private-key-file={}", pki.file("sa.key")),
        format!("--root-ca-file={}", pki.file("ca.crt")),
        "--use-service-account-credentials=true".to_owned(),
        "--leader-elect=false".to_owned(),
        "--profiling=false".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        // Heartbeats come late while two cores compile: shorter, and healthy nodes turn not ready.
        "--node-monitor-grace-period=40s".to_owned(),
    ];
    Program::new("kube-controller-manager", &site.tools.kubernetes.join("kube-controller-manager"), arguments)
}

/// The scheduler.
#[must_use]
pub fn scheduler(site: Site<'_>) -> Program {
    let arguments = [
        site.kubeconfig_flag("scheduler"),
        "--leader-elect=false".to_owned(),
        "--profiling=false".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
    ];
    Program::new("kube-scheduler", &site.tools.kubernetes.join("kube-scheduler"), arguments)
}
