//! The platform's doors, and the end of the process.

use crate::bed::*;
use crate::message::*;
use http::{Method, Request, Response};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use millrace_crds::report::GatewayReport;
use millrace_gateway::admin;
use millrace_gateway::drain::{self, Readiness};
use millrace_gateway::tls::Identity;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsConnector;

async fn admin_door(bed: &Bed) -> (SocketAddr, Identity) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (gateway, operator) = bed.release();
    let (_, config) = watch::channel(Some(gateway.server().unwrap()));
    tokio::spawn(admin::admin(listener, Arc::clone(&bed.gateway), config));
    (address, operator)
}

/// Asks the operator's door, with the certificate or without.
async fn ask(address: SocketAddr, ca: &str, own: Option<&Identity>, path: &str) -> Result<Reply, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        Some(own) => {
            let chain = vec![CertificateDer::from_pem_slice(own.cert.as_bytes()).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap()).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    let text = |error: &dyn std::error::Error| error.to_string();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("gateway.millrace.internal").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|e| text(&e))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| text(&e))?;
    tokio::spawn(connection);
    let request = Request::builder().uri(path).header("host", "gateway").body(body("")).unwrap();
    Ok(Reply::read(sender.send_request(request).await.map_err(|e| text(&e))?).await)
}

#[tokio::test]
async fn reports_and_metrics_are_for_the_release_alone() {
    let bed = Bed::new().await;
    bed.magika(|_| async { answer(200, "ok") }).await;
    bed.call(request(Method::POST, "/team-a/magika/process", "")).await;
    bed.call(without_key(request(Method::POST, "/team-a/magika/process", ""))).await;
    let (address, operator) = admin_door(&bed).await;
    let reply = ask(address, &operator.ca, Some(&operator), "/report").await.unwrap();
    let report: GatewayReport = serde_json::from_str(&reply.text).unwrap();
    assert_eq!((report.gateway.as_str(), report.services.len()), ("gateway-0", 3));
    let metrics = ask(address, &operator.ca, Some(&operator), "/metrics").await.unwrap().text;
    for line in [
        r#"millrace_gateway_arrivals_total{namespace="team-a",service="magika"} 1"#,
        r#"millrace_gateway_refusals_total{reason="no_key"} 1"#,
        r#"millrace_gateway_request_duration_seconds_count{namespace="team-a",service="magika"}"#,
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    assert!(ask(address, &operator.ca, None, "/report").await.is_err(), "no certificate");
    let stranger = Bed::new().await.release().1;
    assert!(ask(address, &operator.ca, Some(&stranger), "/report").await.is_err(), "another release's certificate");
}

#[tokio::test]
async fn a_waiting_report_is_answered_when_a_request_is_held() {
    let bed = Arc::new(Bed::new().await);
    let (address, operator) = admin_door(&bed).await;
    let report = tokio::spawn(async move { ask(address, &operator.ca, Some(&operator), "/report?wait=10s").await });
    let call = {
        let bed = Arc::clone(&bed);
        tokio::spawn(async move { bed.call(request(Method::POST, "/team-a/magika/process", "")).await.status })
    };
    let start = std::time::Instant::now();
    let report: GatewayReport = serde_json::from_str(&report.await.unwrap().unwrap().text).unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(report.services.iter().map(|service| service.held).sum::<u64>(), 1);
    bed.magika(|_| async { answer(200, "") }).await;
    assert_eq!(call.await.unwrap(), 200);
}

#[tokio::test]
async fn readiness_needs_routes_and_identity_and_ends_first() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let readiness = Arc::new(Readiness::default());
    tokio::spawn(admin::health(listener, Arc::clone(&readiness)));
    let get = async |path: &str| {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(TcpStream::connect(address).await.unwrap())).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().uri(path).header("host", "x").body(body("")).unwrap();
        let response: Response<_> = sender.send_request(request).await.unwrap();
        response.status().as_u16()
    };
    assert_eq!((get("/livez").await, get("/readyz").await), (200, 503));
    readiness.routes();
    assert_eq!(get("/readyz").await, 503);
    readiness.identity();
    assert_eq!(get("/readyz").await, 200);
    readiness.leave();
    assert_eq!((get("/livez").await, get("/readyz").await), (200, 503));
}

#[tokio::test]
async fn what_was_let_in_is_finished_before_the_end() {
    let bed = Bed::new().await;
    let (began, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let tell = (Arc::clone(&began), Arc::clone(&finish));
    bed.magika(move |_| {
        let (began, finish) = tell.clone();
        async move {
            began.notify_one();
            finish.notified().await;
            answer(200, "finished")
        }
    })
    .await;
    let mut sender = bed.h2().await;
    let call =
        tokio::spawn(async move { sender.send_request(request(Method::POST, "/team-a/magika/process", "")).await });
    began.notified().await;
    let readiness = Readiness::default();
    drain::leave(&readiness, &bed.stop, Duration::ZERO).await;
    assert_eq!(readiness.check(), Err("shutting down"));
    let door = bed.door.lock().unwrap().take().unwrap();
    until("the door is shut", || std::net::TcpStream::connect(bed.address).is_err()).await;
    assert!(!door.is_finished(), "a request is still under way");
    finish.notify_one();
    assert_eq!(Reply::read(call.await.unwrap().unwrap()).await.text, "finished");
    tokio::time::timeout(SOON, door).await.expect("the door's task ends").unwrap();
}
