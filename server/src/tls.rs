//! TLS with a key of our own, made at the start and never written; callers must show a certificate of the given authority.

use crate::{error::StartError, standby::caller::Named};
use millrace_crds::conditions::reason;
use rustls::{
    RootCertStore, ServerConfig,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often the authority's file is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A configuration that follows its authority's file.
pub struct Tls {
    authority: PathBuf,
    /// The one name that callers may have; absent: any.
    only: Option<&'static str>,
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
    state: Mutex<State>,
}

struct State {
    looked: Instant,
    text: Vec<u8>,
    config: Arc<ServerConfig>,
}

fn invalid(message: String) -> StartError {
    StartError::new(reason::INVALID, message)
}

impl Tls {
    /// Makes a key and reads the authority.
    ///
    /// # Errors
    /// The authority's file is missing or holds no certificate.
    pub fn new(authority: PathBuf) -> Result<Self, StartError> {
        Self::of(authority, None)
    }

    /// The same for a door that is open to one caller alone: `name` is in its certificate.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn only(authority: PathBuf, name: &'static str) -> Result<Self, StartError> {
        Self::of(authority, Some(name))
    }

    fn of(authority: PathBuf, only: Option<&'static str>) -> Result<Self, StartError> {
        let made = rcgen::generate_simple_self_signed(["server.millrace.internal".to_owned()])
            .map_err(|error| invalid(format!("no key can be made: {error}")))?;
        let certificate = made.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let text = std::fs::read(&authority)
            .map_err(|error| invalid(format!("the client authority can't be read: {error}")))?;
        let config = configure(&text, only, &certificate, &key).map_err(invalid)?;
        let state = Mutex::new(State { looked: Instant::now(), text, config });
        Ok(Self { authority, only, certificate, key, state })
    }

    /// The configuration for the next connection. A file that is broken now leaves the last good one in force.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK_AGAIN {
            state.looked = Instant::now();
            match std::fs::read(&self.authority) {
                Ok(text) if text != state.text => match configure(&text, self.only, &self.certificate, &self.key) {
                    Ok(config) => {
                        tracing::info!("the client authority has changed");
                        *state = State { looked: Instant::now(), text, config };
                    }
                    Err(error) => tracing::warn!("the client authority has changed and can't be used: {error}"),
                },
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the client authority can't be read again"),
            }
        }
        Arc::clone(&state.config)
    }
}

fn configure(
    authority: &[u8],
    only: Option<&'static str>,
    certificate: &CertificateDer<'static>,
    key: &PrivatePkcs8KeyDer<'static>,
) -> Result<Arc<ServerConfig>, String> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(authority) {
        let root = root.map_err(|error| format!("the client authority is no PEM: {error}"))?;
        roots.add(root).map_err(|error| format!("the client authority can't be used: {error}"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| format!("the client authority can't be used: {error}"))?;
    let verifier: Arc<dyn ClientCertVerifier> = match only {
        Some(name) => Arc::new(Named::new(name, verifier)?),
        None => verifier,
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.clone()], PrivateKeyDer::Pkcs8(key.clone_key()))
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
