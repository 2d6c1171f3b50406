//! The operator's certificate, and whom it trusts.

use anyhow::{Context, Result};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// A client certificate of the release's CA, ready for use.
#[derive(Clone, Debug)]
pub struct Identity {
    /// For gateways: verified against the CA, by name.
    pub(super) gateways: Arc<ClientConfig>,
    /// For model servers: known by their address.
    pub(super) servers: Arc<ClientConfig>,
}

impl Identity {
    /// From the keys `tls.crt`, `tls.key` and `ca.crt` of Secret `{release}-operator-tls`.
    ///
    /// # Errors
    /// If one of them is no PEM, or if key and certificate don't belong together.
    pub fn from_pem(certificate: &[u8], key: &[u8], ca: &[u8]) -> Result<Self> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>().context("tls.crt is no PEM")?;
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(ca) {
            roots.add(root.context("ca.crt is no PEM")?).context("ca.crt holds no CA certificate")?;
        }
        let provider = Arc::new(ring::default_provider());
        let key = || PrivateKeyDer::from_pem_slice(key).context("tls.key is no PEM");
        let gateways = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain.clone(), key()?)?;
        // What servers report steers replicas within caps, and no secret is sent to them.
        let servers = millrace_hop::caller::client(chain, key()?)?;
        Ok(Self { gateways: Arc::new(gateways), servers: Arc::new(servers) })
    }
}
