//! A standby server in process: who may assign it, that it is assigned once, and that it serves nothing it can't.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

mod support;

use bytes::Bytes;
use clap::Parser as _;
use http::{Method, Request};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use millrace_crds::assignment::{ASSIGNER, Assignment, PATH};
use millrace_server::{
    config::{Args, Command},
    engine::{
        Engine,
        fake::{FakeEngine, Gate},
    },
    error::StartError,
    load,
    model::Fetched,
    standby,
};
use rustls::ClientConfig;
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use support::{
    authority::{Answered, Authority, call, nobody},
    infer_body,
};
use tokio::{net::TcpStream, task::JoinHandle};

/// A standby server whose models the fake engine stands in for, from the moment that the gate is open.
struct Standby {
    assign: SocketAddr,
    data: SocketAddr,
    health: SocketAddr,
    ended: JoinHandle<Result<(), StartError>>,
    folder: tempfile::TempDir,
}

/// An address that was free a moment ago.
fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn start(authority: &Authority, gate: &Gate) -> Standby {
    start_in(tempfile::tempdir().unwrap(), authority, gate)
}

fn start_in(folder: tempfile::TempDir, authority: &Authority, gate: &Gate) -> Standby {
    let (assign, data, health) = (free(), free(), free());
    let ca = folder.path().join("ca.crt");
    authority.write(&ca);
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let flags = [
        ("--assign-address", assign.to_string()),
        ("--address", data.to_string()),
        ("--health-address", health.to_string()),
        ("--client-ca", path(&ca)),
        ("--cache-dir", path(&folder.path().join("cache"))),
        ("--drain", "1s".to_owned()),
        ("--drain-delay", "0s".to_owned()),
    ];
    let words = flags.iter().flat_map(|(flag, value)| [(*flag).to_owned(), value.clone()]);
    let words = ["millrace-server".to_owned(), "standby".to_owned()].into_iter().chain(words);
    let Command::Standby(options) = Args::try_parse_from(words).unwrap().command else { panic!() };
    let (gate, manifests) = (gate.clone(), folder.path().to_owned());
    let ended = tokio::spawn(async move {
        let serving = standby::serving(&options, &manifests);
        standby::live(&options, &serving, async || {
            let manifest = load::read(&serving.model)?;
            let engine: Vec<Box<dyn Engine>> = vec![Box::new(FakeEngine::new(1, gate))];
            tokio::task::spawn_blocking(move || {
                load::build(&manifest, engine, &Fetched::nowhere(), [Duration::ZERO; 2])
            })
            .await
            .unwrap()
        })
        .await
    });
    Standby { assign, data, health, ended, folder }
}

fn assignment(name: &str) -> Assignment {
    let manifest = format!(
        "apiVersion: millrace.dev/v1alpha1\nkind: InferenceService\nmetadata: {{name: {name}, namespace: team-a, revision: r1, version: 1}}\nspec:\n  model: {{uri: 's3://models/fake.onnx'}}\n"
    );
    Assignment { manifest, stores: "[]\n".to_owned() }
}

async fn assign(standby: &Standby, caller: &Arc<ClientConfig>, assignment: &Assignment) -> Answered {
    call(standby.assign, caller, Method::POST, PATH, serde_json::to_vec(assignment).unwrap()).await
}

async fn infer(standby: &Standby, caller: &Arc<ClientConfig>, model: &str) -> Answered {
    call(standby.data, caller, Method::POST, &format!("/v2/models/{model}/infer"), infer_body(&[1.0, 2.0])).await
}

/// Waits until somebody listens.
async fn up(standby: &Standby) {
    tokio::time::timeout(Duration::from_secs(20), async {
        while TcpStream::connect(standby.assign).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it never listens");
}

/// What the probe for readiness says.
async fn ready(standby: &Standby) -> u16 {
    let stream = TcpStream::connect(standby.health).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/readyz").header("host", "server").body(Full::<Bytes>::default()).unwrap();
    sender.send_request(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn one_assignment_makes_it_a_server_and_no_other_is_taken() {
    let authority = Authority::new();
    let (operator, gateway) = (authority.caller(ASSIGNER), authority.caller("gateway.millrace.internal"));
    let standby = start(&authority, &Gate::default());
    up(&standby).await;
    assert_eq!(ready(&standby).await, 200, "it is ready to be assigned");
    assert!(infer(&standby, &gateway, "first").await.is_err(), "there is no model yet, and no port for it");
    let (status, answer) = assign(&standby, &operator, &assignment("first")).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("startup"), "{answer}");
    // Answered means served: the very next call is.
    let (status, answer) = infer(&standby, &gateway, "first").await.unwrap();
    assert_eq!(status, 200, "{answer}");
    assert_eq!(ready(&standby).await, 200);
    for other in
        [assignment("second"), Assignment { stores: "- {name: x, scheme: s3}\n".into(), ..assignment("first") }]
    {
        let (status, answer) = assign(&standby, &operator, &other).await.unwrap();
        assert_eq!(status, 409, "{answer}");
    }
    assert_eq!(infer(&standby, &gateway, "second").await.unwrap().0, 404, "never a second one");
    assert_eq!(infer(&standby, &gateway, "first").await.unwrap().0, 200);
    // The first one again is a question: a new leader asks what became of it.
    assert_eq!(assign(&standby, &operator, &assignment("first")).await.unwrap().0, 200);
    let text = std::fs::read_to_string(standby.folder.path().join("manifest.yaml")).unwrap();
    assert_eq!(text, assignment("first").manifest, "to the byte");
    standby.ended.abort();
}

#[tokio::test]
async fn only_the_operator_of_the_release_assigns() {
    let (ours, other) = (Authority::new(), Authority::new());
    let standby = start(&ours, &Gate::default());
    up(&standby).await;
    for (who, caller) in [
        ("nobody", nobody()),
        ("of another authority", other.caller(ASSIGNER)),
        ("a gateway", ours.caller("gateway.millrace.internal")),
    ] {
        let answered = assign(&standby, &caller, &assignment("theirs")).await;
        assert!(answered.is_err(), "{who} was answered {answered:?}");
    }
    let operator = ours.caller(ASSIGNER);
    for (method, path, body, expected) in [
        (Method::GET, PATH, "", 404),
        (Method::POST, "/process", "{}", 404),
        (Method::POST, PATH, "{\"manifest\": 1}", 400),
        (Method::POST, PATH, "{\"manifest\": \"\", \"stores\": \"\", \"more\": 1}", 400),
    ] {
        let (status, answer) = call(standby.assign, &operator, method, path, body).await.unwrap();
        assert_eq!(status, expected, "{path} {body}: {answer}");
    }
    // None of these was an assignment.
    assert_eq!(assign(&standby, &operator, &assignment("ours")).await.unwrap().0, 200);
    standby.ended.abort();
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_with_the_reason_and_the_server_ends() {
    let authority = Authority::new();
    let operator = authority.caller(ASSIGNER);
    let (standby, bad) =
        (start(&authority, &Gate::default()), Assignment { manifest: "a: [".into(), ..assignment("x") });
    up(&standby).await;
    let (status, answer) = assign(&standby, &operator, &bad).await.unwrap();
    assert_eq!(status, 422, "{answer}");
    assert!(answer.contains("Invalid") && answer.contains("no YAML"), "{answer}");
    let ended = tokio::time::timeout(Duration::from_secs(20), standby.ended).await.expect("it stays").unwrap();
    assert_eq!(ended.unwrap_err().reason, "Invalid");
    assert!(TcpStream::connect(standby.data).await.is_err(), "nothing is served");
    // What comes after it in the same folder is no standby server either: it may hold what was one tenant's.
    let again = start_in(standby.folder, &authority, &Gate::default());
    let ended = tokio::time::timeout(Duration::from_secs(20), again.ended).await.expect("it starts").unwrap();
    assert!(ended.unwrap_err().message.contains("has served somebody"));
}

#[tokio::test]
async fn of_two_at_once_one_is_served() {
    let authority = Authority::new();
    let operator = authority.caller(ASSIGNER);
    let standby = start(&authority, &Gate::default());
    up(&standby).await;
    let (first, second, third) = (assignment("first"), assignment("second"), assignment("third"));
    let (a, b, c) = tokio::join!(
        assign(&standby, &operator, &first),
        assign(&standby, &operator, &second),
        assign(&standby, &operator, &third)
    );
    let mut found = [a, b, c].map(|answer| answer.unwrap().0);
    found.sort_unstable();
    assert_eq!(found, [200, 409, 409]);
    standby.ended.abort();
}
