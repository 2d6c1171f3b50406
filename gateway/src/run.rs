//! Puts the parts together and runs them until the process is asked to stop.

use crate::admin;
use crate::args::{Command, KeyCommand, PepperArgs, ServeArgs};
use crate::auth::{Pepper, new_key};
use crate::drain::{self, Readiness};
use crate::early;
use crate::front::{Gateway, Settings};
use crate::hold::Bounds;
use crate::listen::{self, Limits};
use crate::saved::{self, Saved};
use crate::tls::{Identity, Public};
use crate::watch::{Index, LISTS, follow_all, follow_identity};
use anyhow::Context;
use kube::{Api, Client};
use rustls::ServerConfig;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Between two writes of the saved routes.
const SAVE: Duration = Duration::from_secs(5);

/// Runs a command.
///
/// # Errors
/// With a sentence for people.
pub async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve(*args).await,
        Command::Key { command } => key(command),
    }
}

fn key(command: KeyCommand) -> anyhow::Result<()> {
    let pepper = |args: PepperArgs| Pepper::read(&args.pepper_file);
    match command {
        KeyCommand::Create(args) => {
            let (pepper, key) = (pepper(args)?, new_key()?);
            println!("key:  {key}\nhash: {}", pepper.hash(key.as_bytes()));
        }
        KeyCommand::Hash(args) => {
            let mut key = String::new();
            std::io::stdin().take(4096).read_to_string(&mut key).context("read the key from standard input")?;
            anyhow::ensure!(!key.trim().is_empty(), "standard input has no key");
            println!("{}", pepper(args)?.hash(key.trim().as_bytes()));
        }
    }
    Ok(())
}

async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let hold = Bounds { requests: args.hold_requests, bytes: args.hold_bytes };
    let settings = Settings { domain: args.domain.to_ascii_lowercase(), hold, body_idle: args.body_timeout };
    let pepper = Pepper::read(&args.pepper.pepper_file)?;
    let gateway = Arc::new(Gateway::new(settings, pepper, &args.pod_name));
    let public = Public::read(&args.tls_cert, &args.tls_key)?;
    let doors = (bind(args.address).await?, bind(args.admin_address).await?, bind(args.health_address).await?);
    let client = Client::try_default().await.context("find the API server")?;

    let saved = restore(args.state_dir.as_ref());
    let restored = saved.is_some();
    let Saved { mut inputs, identity } = saved.unwrap_or_default();
    inputs.default_tenant.clone_from(&args.default_tenant);
    let index = Arc::new(Index::new(inputs));
    let (identity_sender, identity) = watch::channel(identity.map(Arc::new));
    let (admin_sender, admin_config) = watch::channel(None);
    // Routes from disk are whole: they count as the first lists.
    let (synced_sender, synced) = watch::channel(if restored { LISTS } else { 0 });
    let (stop, stopped) = watch::channel(false);
    let readiness = Arc::new(Readiness::default());

    tokio::spawn(use_identity(identity.clone(), Arc::clone(&gateway), Arc::clone(&readiness), admin_sender));
    tokio::spawn(admin::health(doors.2, Arc::clone(&readiness)));
    tokio::spawn(admin::admin(doors.1, Arc::clone(&gateway), admin_config));
    tokio::spawn(Arc::clone(&public).watch());
    tokio::spawn(keep_table(Arc::clone(&index), Arc::clone(&gateway), synced.clone(), Arc::clone(&readiness)));
    let starting = (Arc::clone(&index), Arc::clone(&gateway));
    tokio::spawn(async move { early::follow(&starting.0, &starting.1).await });
    let watched = (Arc::clone(&index), client.clone(), args.namespace.clone());
    tokio::spawn(async move { follow_all(&watched.0, &watched.1, &watched.2, &synced_sender).await });
    let secret = format!("{}-gateway-tls", args.release);
    let secrets = Api::namespaced(client, &args.namespace);
    tokio::spawn(async move { follow_identity(secrets, &secret, &identity_sender).await });
    if let Some(dir) = args.state_dir {
        tokio::spawn(save(dir, Arc::clone(&gateway), index, identity));
    }

    let limits = Limits { connections: args.max_connections, patience: args.header_timeout };
    let door = listen::serve(doors.0, public.server()?, gateway, limits, drain::turned_on(stopped));
    let door = tokio::spawn(door);
    tracing::info!(address = %args.address, "serving");
    drain::asked_to_stop().await?;
    tracing::info!("asked to stop: finishing what was let in");
    drain::leave(&readiness, &stop, args.drain_delay).await;
    if tokio::time::timeout(args.drain, door).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
    Ok(())
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listen at {address}"))
}

fn restore(dir: Option<&PathBuf>) -> Option<Saved> {
    saved::load(dir?).unwrap_or_else(|error| {
        tracing::warn!("start without the saved routes: {error:#}");
        None
    })
}

/// Takes each identity into use.
async fn use_identity(
    mut identity: watch::Receiver<Option<Arc<Identity>>>,
    gateway: Arc<Gateway>,
    readiness: Arc<Readiness>,
    admin: watch::Sender<Option<Arc<ServerConfig>>>,
) {
    loop {
        let current = identity.borrow_and_update().clone();
        if let Some(current) = current {
            match (current.client(), current.server()) {
                (Ok(client), Ok(server)) => {
                    gateway.connector.set(client);
                    admin.send_replace(Some(server));
                    readiness.identity();
                }
                (Err(error), _) | (_, Err(error)) => tracing::error!("the gateway's Secret is unusable: {error:#}"),
            }
        }
        if identity.changed().await.is_err() {
            return;
        }
    }
}

async fn keep_table(
    index: Arc<Index>,
    gateway: Arc<Gateway>,
    synced: watch::Receiver<usize>,
    readiness: Arc<Readiness>,
) {
    let mut changes = gateway.fleet.changes();
    let first = async {
        if changes.changed().await.is_ok() {
            readiness.routes();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = index.publish(&gateway.fleet, synced) => {}
        () = first => {}
    }
}

/// Writes routes and identity after changes, at most every few seconds.
async fn save(
    dir: PathBuf,
    gateway: Arc<Gateway>,
    index: Arc<Index>,
    mut identity: watch::Receiver<Option<Arc<Identity>>>,
) {
    let mut changes = gateway.fleet.changes();
    loop {
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            changed = identity.changed() => if changed.is_err() { return },
        }
        let held = identity.borrow().as_deref().cloned();
        let (dir, saved) = (dir.clone(), Saved { inputs: index.read(Clone::clone), identity: held });
        let written = tokio::task::spawn_blocking(move || saved::store(&dir, &saved)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!("can't keep the routes on disk: {error:#}");
        }
        tokio::time::sleep(SAVE).await;
    }
}
