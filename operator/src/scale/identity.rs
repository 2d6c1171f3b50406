//! The operator's certificate, and whom it trusts.

use anyhow::{Context, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// A client certificate of the release's CA, ready for use.
#[derive(Clone, Debug)]
pub struct Identity {
    /// For gateways: verified against the CA, by name.
    pub(super) gateways: Arc<ClientConfig>,
    /// For model servers.
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
        let builder = || ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let gateways = builder()?.with_root_certificates(roots).with_client_auth_cert(chain.clone(), key()?)?;
        let anyone = Arc::new(HoldsItsKey(provider.clone()));
        let servers = builder()?.dangerous().with_custom_certificate_verifier(anyone);
        let servers = servers.with_client_auth_cert(chain, key()?)?;
        Ok(Self { gateways: Arc::new(gateways), servers: Arc::new(servers) })
    }
}

/// Accepts a server by the address it was reached at. A model server makes its key at start, and the key never leaves
/// the pod: no certificate could name it. The pod's address comes from the API server; what the server reports steers
/// replicas within caps, and no secret is sent to it. That the peer holds the key of its certificate is checked.
#[derive(Debug)]
struct HoldsItsKey(Arc<CryptoProvider>);

impl ServerCertVerifier for HoldsItsKey {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
