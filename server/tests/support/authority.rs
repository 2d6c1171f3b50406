//! An authority of certificates, and callers that show some or none.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use millrace_hop::caller;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, crypto::ring};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::{net::SocketAddr, path::Path, sync::Arc};
use tokio::net::TcpStream;

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

/// Status and body of an answer; or what keeps a call from being answered, in words.
pub type Answered = Result<(u16, String), String>;

/// One call over TLS. The refusal of a certificate shows only with the first read.
pub async fn call(
    address: SocketAddr,
    caller: &Arc<ClientConfig>,
    method: Method,
    path: &str,
    body: impl Into<Bytes>,
) -> Answered {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(caller));
    let stream = connector.connect("server".try_into().unwrap(), stream).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| format!("{error:?}"))?;
    let driver = tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", "server");
    let answer = sender.send_request(request.body(Full::new(body.into())).unwrap()).await;
    let answer = answer.map_err(|error| format!("{error:?}"))?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
    driver.abort();
    Ok((status, String::from_utf8(body.to_vec()).unwrap()))
}
