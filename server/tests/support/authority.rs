//! An authority of certificates, and callers that show some or none.

use millrace_hop::caller;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, crypto::ring};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::{path::Path, sync::Arc};

/// An authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A caller with a certificate of this authority, of a name and for the given use.
    pub fn caller_for(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> Arc<ClientConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Arc::new(caller::client(vec![certificate.der().clone()], key).unwrap())
    }

    pub fn caller(&self, name: &str) -> Arc<ClientConfig> {
        self.caller_for(name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Puts it in place as the kubelet does: whole, by a rename.
    pub fn write(&self, file: &Path) {
        put(file, &self.pem);
    }
}

pub fn put(file: &Path, text: &str) {
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, file).unwrap();
}

/// A caller that shows nothing.
pub fn nobody() -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(config.dangerous().with_custom_certificate_verifier(caller::verifier()).with_no_client_auth())
}
