//! Certificates: the public one from files, reloaded when they change; the gateway's own identity towards servers and the
//! operator, from a Secret of the release.

use anyhow::{Context, ensure};
use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often the public files are looked at.
const RELOAD: Duration = Duration::from_secs(10);

/// The gateway's identity as PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Certificate chain.
    pub cert: String,
    /// Private key.
    pub key: String,
    /// The release's CA.
    pub ca: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    /// The side of a client towards servers.
    ///
    /// # Errors
    /// If the PEM can't be read or the key isn't the certificate's.
    pub fn client(&self) -> anyhow::Result<Arc<ClientConfig>> {
        let (chain, key) = pair(self.cert.as_bytes(), self.key.as_bytes())?;
        let mut config = millrace_hop::caller::client(chain, key)
            .context("the gateway's certificate and key don't belong together")?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    /// The side of a server towards the operator: callers need a certificate of the release's CA.
    ///
    /// # Errors
    /// If the PEM can't be read or the key isn't the certificate's.
    pub fn server(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let (chain, key) = pair(self.cert.as_bytes(), self.key.as_bytes())?;
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.ca.as_bytes()) {
            roots.add(certificate.context("read the release's CA")?)?;
        }
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .context("the gateway's certificate and key don't belong together")?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn pair(cert: &[u8], key: &[u8]) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(cert).collect::<Result<_, _>>().context("read the certificate")?;
    ensure!(!chain.is_empty(), "there is no certificate in the PEM");
    Ok((chain, PrivateKeyDer::from_pem_slice(key).context("read the private key")?))
}

/// The certificate that tenants see.
#[derive(Debug)]
pub struct Public {
    cert: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

impl Public {
    /// Reads both files.
    ///
    /// # Errors
    /// If they can't be read or don't belong together.
    pub fn read(cert: &Path, key: &Path) -> anyhow::Result<Arc<Self>> {
        let current = ArcSwap::from_pointee(load(cert, key)?);
        Ok(Arc::new(Self { cert: cert.to_owned(), key: key.to_owned(), current }))
    }

    /// Reads both files again. What can't be read changes nothing: a half-written pair mustn't take the door away.
    pub fn reload(&self) {
        match load(&self.cert, &self.key) {
            Ok(fresh) if fresh.cert != self.current.load().cert => {
                tracing::info!("the public certificate has changed");
                self.current.store(Arc::new(fresh));
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("keep the public certificate, its files are unusable: {error:#}"),
        }
    }

    /// Looks at the files for ever.
    pub async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(RELOAD).await;
            self.reload();
        }
    }

    /// The listener's configuration.
    ///
    /// # Errors
    /// If the TLS library lacks a protocol version.
    pub fn server(self: &Arc<Self>) -> anyhow::Result<Arc<ServerConfig>> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Public {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn load(cert: &Path, key: &Path) -> anyhow::Result<CertifiedKey> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("read {}", path.display()));
    let (chain, key) = pair(&read(cert)?, &read(key)?)?;
    let loaded = CertifiedKey::new(chain, ring::sign::any_supported_type(&key)?);
    loaded.keys_match().context("the public certificate and key don't belong together")?;
    Ok(loaded)
}
