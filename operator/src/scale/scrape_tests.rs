use super::*;
use http_body_util::Full;
use hyper::service::service_fn;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;

struct Authority {
    certificate: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    Authority { certificate: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
}

/// A certificate for `name` with its key, in PEM.
fn leaf(authority: &Authority, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    (params.signed_by(&key, &authority.issuer).unwrap().pem(), key.serialize_pem())
}

fn identity(authority: &Authority) -> Arc<Identity> {
    let (certificate, key) = leaf(authority, "operator.millrace.internal");
    Arc::new(Identity::from_pem(certificate.as_bytes(), key.as_bytes(), authority.pem.as_bytes()).unwrap())
}

/// A reporter on loopback that answers `body` to clients of `authority`, with a certificate for `name`.
async fn reporter(authority: &Authority, signer: &Authority, name: &str, body: &'static str) -> SocketAddr {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let (certificate, key) = leaf(signer, name);
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_client_cert_verifier(verifier);
    let config = config.with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let answer = service_fn(move |_| async move {
                Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::from(body))))
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    address
}

fn report() -> &'static str {
    r#"{"gateway":"g","startedAt":1.0,"generation":2,"services":[]}"#
}

async fn fetch_once(address: SocketAddr, name: Option<&'static str>, identity: Arc<Identity>) -> Result<GatewayReport> {
    fetch(&mut None, Peer { address, name, identity }, "/report").await
}

#[tokio::test]
async fn a_gateway_is_known_by_its_name_and_the_ca() {
    let (ours, other) = (authority(), authority());
    let good = reporter(&ours, &ours, GATEWAY_NAME, report()).await;
    assert_eq!(fetch_once(good, Some(GATEWAY_NAME), identity(&ours)).await.unwrap().generation, 2);
    let misnamed = reporter(&ours, &ours, "operator.millrace.internal", report()).await;
    assert!(fetch_once(misnamed, Some(GATEWAY_NAME), identity(&ours)).await.is_err());
    let foreign = reporter(&ours, &other, GATEWAY_NAME, report()).await;
    assert!(fetch_once(foreign, Some(GATEWAY_NAME), identity(&ours)).await.is_err());
    assert!(fetch_once(good, Some(GATEWAY_NAME), identity(&other)).await.is_err(), "a stranger's certificate");
}

#[tokio::test]
async fn a_server_may_have_any_certificate() {
    let (ours, own) = (authority(), authority());
    let server = reporter(&ours, &own, "whatever", report()).await;
    assert!(fetch_once(server, None, identity(&ours)).await.is_ok());
    assert!(fetch_once(server, Some(GATEWAY_NAME), identity(&ours)).await.is_err());
}

#[tokio::test]
async fn a_connection_is_kept_until_the_identity_changes() {
    let ours = authority();
    let server = reporter(&ours, &ours, GATEWAY_NAME, report()).await;
    let (first, second) = (identity(&ours), identity(&ours));
    let mut line = None;
    for (identity, kept) in [(&first, false), (&first, true), (&second, false)] {
        let before = line.as_ref().map(|line: &Line| Arc::as_ptr(&line.identity));
        let peer = Peer { address: server, name: Some(GATEWAY_NAME), identity: identity.clone() };
        let _: GatewayReport = fetch(&mut line, peer, "/report").await.unwrap();
        assert_eq!(before == line.as_ref().map(|line| Arc::as_ptr(&line.identity)), kept);
    }
}

#[tokio::test]
async fn nonsense_is_an_error() {
    let ours = authority();
    let server = reporter(&ours, &ours, GATEWAY_NAME, "[1, 2").await;
    let error = fetch_once(server, Some(GATEWAY_NAME), identity(&ours)).await.unwrap_err();
    assert!(error.to_string().contains("malformed"), "{error:#}");
}
