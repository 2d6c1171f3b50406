//! Certificates of a cluster: one authority, and an identity for each component, as RBAC expects them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::exec;

use super::component;
use super::nodes;
use super::subnets::Index;

/// The folder with the keys and certificates.
#[derive(Debug, Clone)]
pub struct Pki {
    folder: PathBuf,
}

const VALID_DAYS: &str = "365";

impl Pki {
    /// The keys below a state folder.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self { folder: state.join("pki") }
    }

    /// A file, for example `ca.crt`.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Makes all keys and certificates.
    ///
    /// # Errors
    /// When `openssl` fails.
    pub fn create(&self, index: Index) -> Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut authority = self.new_key("ca", "/CN=millrace-testbed");
        authority.args(["-x509", "-days", VALID_DAYS, "-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
        authority.args(["-out", &self.file("ca.crt")]);
        exec::output(&mut authority)?;
        self.server("apiserver", index)?;
        let names = format!("subjectAltName=IP:{}\nextendedKeyUsage=serverAuth\n", index.control_plane());
        self.signed(component::FILES_CERTIFICATE, "/CN=files", &names)?;
        self.client("admin", "/O=system:masters/CN=admin")?;
        self.client("kcm", "/CN=system:kube-controller-manager")?;
        self.client("scheduler", "/CN=system:kube-scheduler")?;
        self.client("proxy", "/CN=system:kube-proxy")?;
        for node in nodes::REAL {
            self.client(node.name, &format!("/O=system:nodes/CN=system:node:{}", node.name))?;
        }
        self.account_key()
    }

    fn server(&self, name: &str, index: Index) -> Result<()> {
        let names = format!(
            "subjectAltName=IP:127.0.0.1,IP:{},IP:{},DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,\
             DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local\nextendedKeyUsage=serverAuth\n",
            index.control_plane(),
            index.api_service()
        );
        self.signed(name, "/CN=kube-apiserver", &names)
    }

    fn client(&self, name: &str, subject: &str) -> Result<()> {
        self.signed(name, subject, "extendedKeyUsage=clientAuth\n")
    }

    fn signed(&self, name: &str, subject: &str, extensions: &str) -> Result<()> {
        let (request, extension_file) = (self.file(&format!("{name}.csr")), self.file(&format!("{name}.ext")));
        fs::write(&extension_file, extensions)?;
        exec::output(self.new_key(name, subject).args(["-out", &request]))?;
        let mut sign = Command::new("openssl");
        sign.args(["x509", "-req", "-days", VALID_DAYS, "-in", &request, "-extfile", &extension_file]);
        sign.args(["-CA", &self.file("ca.crt"), "-CAkey", &self.file("ca.key"), "-CAcreateserial"]);
        sign.args(["-out", &self.file(&format!("{name}.crt"))]);
        exec::output(&mut sign)?;
        Ok(())
    }

    fn new_key(&self, name: &str, subject: &str) -> Command {
        let mut request = Command::new("openssl");
        request.args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        request.args(["-subj", subject, "-keyout", &self.file(&format!("{name}.key"))]);
        request
    }

    /// The key that signs the tokens of service accounts.
    fn account_key(&self) -> Result<()> {
        let (key, public) = (self.file("sa.key"), self.file("sa.pub"));
        exec::output(Command::new("openssl").args([
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-noout",
            "-out",
            &key,
        ]))?;
        exec::output(Command::new("openssl").args(["ec", "-in", &key, "-pubout", "-out", &public]))?;
        Ok(())
    }

    /// Writes a kubeconfig for the identity of this name, with the certificates inside: the file can be copied.
    ///
    /// # Errors
    /// When a file can't be read or written.
    pub fn kubeconfig(&self, name: &str, server: &str, cluster: &str, file: &Path) -> Result<()> {
        let data = |part: &str| -> Result<String> {
            let text = exec::output(Command::new("openssl").args(["base64", "-A", "-in", &self.file(part)]))?;
            Ok(text.trim().to_owned())
        };
        let (ca, certificate, key) = (data("ca.crt")?, data(&format!("{name}.crt"))?, data(&format!("{name}.key"))?);
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: {cluster}\n  cluster:\n    server: {server}\n    \
             certificate-authority-data: {ca}\nusers:\n- name: {name}\n  user:\n    client-certificate-data: \
             {certificate}\n    client-key-data: {key}\ncontexts:\n- name: {cluster}\n  context:\n    cluster: \
             {cluster}\n    user: {name}\ncurrent-context: {cluster}\n"
        );
        fs::write(file, text)?;
        Ok(())
    }
}
