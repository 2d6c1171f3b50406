//! What the tests stand on: a gateway, servers that do what a test says, and clients.

use crate::ca::{Ca, provider, roots, write_public};
use crate::message::{Body, Reply};
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use millrace_crds::{Access, ApiKey, RateLimit, Traffic};
use millrace_gateway::auth::Pepper;
use millrace_gateway::front::{Gateway, Settings};
use millrace_gateway::hold::Bounds;
use millrace_gateway::inputs::{Early, Inputs, PodInput, ServiceInput, TenantInput};
use millrace_gateway::listen::{self, Limits};
use millrace_gateway::routes::Table;
use millrace_gateway::tls::{Identity, Public};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, ServerName};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Everything should happen well within this; a test that waits longer is broken.
pub const SOON: Duration = Duration::from_secs(20);
pub const KEY_A: &str = "mr_key_of_tenant_a";
pub const KEY_B: &str = "mr_key_of_tenant_b";

type Handler = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

/// A gateway that listens, and the inputs of its table.
pub struct Bed {
    pub gateway: Arc<Gateway>,
    pub address: SocketAddr,
    pub dir: tempfile::TempDir,
    pub public: Arc<Public>,
    pub stop: watch::Sender<bool>,
    pub door: Mutex<Option<JoinHandle<()>>>,
    inputs: Mutex<Inputs>,
    ca: Ca,
    trust: Mutex<String>,
}

impl Bed {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let hold = Bounds { requests: 100, bytes: 16 << 20 };
        let mut settings = Settings { domain: "models.example".into(), hold, body_idle: SOON };
        change(&mut settings);
        let pepper = Pepper::new(b"the pepper of the tests".to_vec()).unwrap();
        let inputs = inputs(&pepper);
        let gateway = Arc::new(Gateway::new(settings, pepper, "gateway-0"));
        let ca = Ca::new();
        gateway.connector.set(ca.give("gateway.millrace.internal").client().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let trust = write_public(dir.path());
        let public = Public::read(&dir.path().join("tls.crt"), &dir.path().join("tls.key")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let limits = Limits { connections: 64, patience: SOON };
        let stopped = millrace_gateway::drain::turned_on(stopped);
        let door = listen::serve(listener, public.server().unwrap(), Arc::clone(&gateway), limits, stopped);
        let door = Mutex::new(Some(tokio::spawn(door)));
        let trust = Mutex::new(trust);
        let bed = Self { gateway, address, dir, public, stop, door, inputs: Mutex::new(inputs), ca, trust };
        bed.edit(|_| {});
        bed
    }

    /// Changes the inputs and publishes the table.
    pub fn edit(&self, change: impl FnOnce(&mut Inputs)) {
        let mut inputs = self.inputs.lock().unwrap();
        change(&mut inputs);
        self.gateway.fleet.publish(Table::build(&inputs));
    }

    /// What the table is made of.
    pub fn inputs(&self) -> Inputs {
        self.inputs.lock().unwrap().clone()
    }

    /// Changes a service.
    pub fn service(&self, namespace: &str, name: &str, change: impl FnOnce(&mut ServiceInput)) {
        self.edit(|inputs| change(inputs.services.get_mut(namespace).unwrap().get_mut(name).unwrap()));
    }

    /// A replica at an address.
    pub fn replica(&self, service: (&str, &str), revision: &str, address: SocketAddr) {
        let pod = PodInput {
            uid: address.to_string(),
            service: service.1.into(),
            revision: revision.into(),
            pool: "cpu".into(),
            ip: Some(address.ip()),
            port: address.port(),
            ready: true,
            early: Early::No,
        };
        self.edit(|inputs| {
            inputs.pods.entry(service.0.into()).or_default().insert(address.to_string(), pod);
        });
    }

    /// A server that answers by a handler, as a replica of team-a's magika.
    pub async fn magika<F, A>(&self, handler: F) -> SocketAddr
    where
        F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let address = self.server(handler).await;
        self.replica(("team-a", "magika"), "r1", address);
        address
    }

    /// A server that lets only the gateway in.
    pub async fn server<F, A>(&self, handler: F) -> SocketAddr
    where
        F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let own = rcgen::generate_simple_self_signed(vec!["pod".to_owned()]).unwrap();
        let chain = vec![own.cert.der().clone()];
        let key = PrivateKeyDer::from_pem_slice(own.signing_key.serialize_pem().as_bytes()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(self.ca.roots(), provider()).build().unwrap();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, handler) = (acceptor.clone(), Arc::clone(&handler));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| {
                        let answer = handler(request);
                        async move { Ok::<_, Infallible>(answer.await) }
                    });
                    let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        address
    }

    /// A TLS connection to the tenants' door.
    pub async fn connect(&self, protocol: &str) -> TlsStream<TcpStream> {
        let trust = roots(&self.trust.lock().unwrap());
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(trust)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("gateway.example").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// Writes another public certificate and has it loaded; clients trust only the new one.
    pub fn rotate(&self) {
        *self.trust.lock().unwrap() = write_public(self.dir.path());
        self.public.reload();
    }

    /// The gateway's identity towards the operator, and a client's of the same release.
    pub fn release(&self) -> (Identity, Identity) {
        (self.ca.give("gateway.millrace.internal"), self.ca.give("operator.millrace.internal"))
    }

    pub async fn h2(&self) -> http2::SendRequest<Body> {
        let io = TokioIo::new(self.connect("h2").await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    pub async fn h1(&self) -> http1::SendRequest<Body> {
        let io = TokioIo::new(self.connect("http/1.1").await);
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// One request over HTTP/2.
    pub async fn call(&self, request: Request<Body>) -> Reply {
        let mut sender = self.h2().await;
        let response = tokio::time::timeout(SOON, sender.send_request(request)).await.unwrap().unwrap();
        Reply::read(response).await
    }

    /// One request over HTTP/1.1.
    pub async fn call_h1(&self, mut request: Request<Body>) -> Reply {
        let host = request.uri().authority().map(ToString::to_string);
        if let Some(host) = host {
            let path = request.uri().path_and_query().unwrap().to_string();
            *request.uri_mut() = path.parse().unwrap();
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        let mut sender = self.h1().await;
        let response = tokio::time::timeout(SOON, sender.send_request(request)).await.unwrap().unwrap();
        Reply::read(response).await
    }
}

/// Two tenants; magika in both, fraud in team-a alone.
fn inputs(pepper: &Pepper) -> Inputs {
    let mut inputs = Inputs::default();
    for (tenant, namespace, key) in [("a", "team-a", KEY_A), ("b", "team-b", KEY_B)] {
        inputs.namespaces.insert(namespace.into(), [("tenant".to_owned(), tenant.to_owned())].into());
        let hash = pepper.hash(key.as_bytes()).to_string();
        inputs.tenants.insert(
            tenant.into(),
            TenantInput {
                created: 1,
                namespaces: [("tenant".to_owned(), tenant.to_owned())].into(),
                keys: vec![ApiKey { name: "ci".into(), hash: hash.into(), expires: None }],
                rate_limit: None,
                allow_anonymous: false,
            },
        );
    }
    for (namespace, name) in [("team-a", "magika"), ("team-b", "magika"), ("team-a", "fraud")] {
        inputs.services.entry(namespace.into()).or_default().insert(name.into(), service());
    }
    inputs
}

fn service() -> ServiceInput {
    let traffic = vec![Traffic { revision: "r1".into(), version: 1, weight: 100 }];
    ServiceInput { access: Access { timeout: "15s".into(), ..Access::default() }, traffic, conditions: Vec::new() }
}

pub fn in_flight(most: u32) -> RateLimit {
    RateLimit { in_flight: Some(most), ..RateLimit::default() }
}

/// Waits until something holds that nobody announces.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let poll = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(SOON, poll).await.unwrap_or_else(|_| panic!("never: {what}"));
}
