//! The caller's side of TLS: our certificate is shown, and the server is known by the address it was reached at.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::sync::Arc;

/// A client of model servers that shows `chain`. The protocols to offer (ALPN) are the caller's to add.
///
/// # Errors
/// Key and certificate don't belong together.
pub fn client(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ClientConfig, Error> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier())
        .with_client_auth_cert(chain, key)
}

/// How a server's certificate is checked: see [`client`].
#[must_use]
pub fn verifier() -> Arc<dyn ServerCertVerifier> {
    Arc::new(HoldsItsKey(Arc::new(ring::default_provider())))
}

/// Takes any certificate of a server and checks that the server holds its key.
///
/// Servers make their own key at start, and it never leaves the pod, so that no secret is written into a tenant's
/// namespace; nothing could sign it, and no certificate could name it. Which pod answers is known by its address, which
/// comes from the API server; the handshake's signature (checked below) keeps a recorded handshake from being played
/// again. The server checks us: only certificates of the release are let in.
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
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
