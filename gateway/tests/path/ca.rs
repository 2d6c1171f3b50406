//! Certificates: the release's own authority, and the public one at the tenants' door.

use millrace_gateway::tls::Identity;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::sync::Arc;

/// A certificate authority and the certificates that it gives.
pub struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { pem: params.self_signed(&key).unwrap().pem(), issuer: Issuer::new(params, key) }
    }

    pub fn give(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        Identity { cert: cert.pem(), key: key.serialize_pem(), ca: self.pem.clone() }
    }

    pub fn roots(&self) -> Arc<RootCertStore> {
        roots(&self.pem)
    }
}

pub fn roots(pem: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    Arc::new(roots)
}

pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A public certificate in a folder, as a Secret is mounted; gives its PEM.
pub fn write_public(dir: &std::path::Path) -> String {
    let own = rcgen::generate_simple_self_signed(vec!["gateway.example".to_owned()]).unwrap();
    std::fs::write(dir.join("tls.crt"), own.cert.pem()).unwrap();
    std::fs::write(dir.join("tls.key"), own.signing_key.serialize_pem()).unwrap();
    own.cert.pem()
}
