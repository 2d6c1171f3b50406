//! The life of a server: probes first, then the model, then traffic, then the drain.

use crate::{
    config::ServeOptions,
    crew::Crew,
    error::StartError,
    health,
    listen::{self, Wire},
    load::{Threads, load},
    replica::Replica,
    tls::Tls,
};
use millrace_crds::conditions::reason;
use std::sync::{Arc, atomic::Ordering};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

fn invalid(message: impl Into<String>) -> StartError {
    StartError::new(reason::INVALID, message)
}

/// Listens at an address.
///
/// # Errors
/// It can't be had.
pub(crate) async fn bind(address: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| invalid(format!("{address} can't be listened on: {error}")))
}

/// Where a listener really is: port 0 asks the system for a free one.
pub(crate) fn place(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string())
}

/// Serves the manifest's model until SIGTERM or SIGINT.
///
/// # Errors
/// Why it can't start.
pub async fn run(options: ServeOptions) -> Result<(), StartError> {
    live(&options, load(&options)).await
}

/// Serves what `load` brings until SIGTERM or SIGINT; probes are answered before it is there.
///
/// # Errors
/// Why it can't start.
pub async fn live(
    options: &ServeOptions,
    load: impl Future<Output = Result<(Arc<Replica>, Threads), StartError>>,
) -> Result<(), StartError> {
    probed(options, &health::Slot::default(), load).await
}

/// The same, with probes that are answered from a place of the caller's: it is filled once requests are taken.
///
/// # Errors
/// Why it can't start.
pub async fn probed(
    options: &ServeOptions,
    slot: &health::Slot,
    load: impl Future<Output = Result<(Arc<Replica>, Threads), StartError>>,
) -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| invalid(error.to_string()))?;
    let (end, ending) = watch::channel(false);
    if !options.wire.health_address.is_empty() {
        let listener = bind(&options.wire.health_address).await?;
        tracing::info!(address = place(&listener), "probes");
        let slot = Arc::clone(slot);
        // Probes are answered until the process ends: they never see the end.
        let (forever, never) = watch::channel(false);
        tokio::spawn(async move {
            let _forever = forever;
            listen::serve(listener, Crew::here(), None, never, || {
                let slot = Arc::clone(&slot);
                move |request| health::answer(Arc::clone(&slot), request)
            })
            .await;
        });
    }
    let (replica, threads) = tokio::select! {
        loaded = load => loaded?,
        _ = terminate.recv() => return Ok(()),
    };
    let tls = options.client_ca.clone().map(Tls::new).transpose()?.map(Arc::new);
    if tls.is_none() {
        tracing::info!("callers are not asked for a key, nor limited in their rate: that is the gateway's");
    }
    let wire = Wire::new(Arc::clone(&replica));
    let crew = Crew::start().map_err(|error| invalid(format!("there is no thread for connections: {error}")))?;
    let mut servers = tokio::task::JoinSet::new();
    for address in [&options.wire.address, &options.grpc_address] {
        if !address.is_empty() {
            let (listener, wire) = (bind(address).await?, wire.clone());
            tracing::info!(address = place(&listener), tls = tls.is_some(), model = replica.facts.name, "serving");
            servers.spawn(listen::serve(listener, crew.clone(), tls.clone(), ending.clone(), move || {
                let wire = Arc::new(wire.clone());
                move |request| Arc::clone(&wire).answer(request)
            }));
        }
    }
    let _ = slot.set(Arc::clone(&replica));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    drain(&replica, options, &end, servers).await;
    replica.stop();
    for thread in threads {
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
    tracing::info!("ended");
    Ok(())
}

/// Readiness off, time for others to see it, no more requests, then what was admitted is finished.
async fn drain(
    replica: &Replica,
    options: &ServeOptions,
    end: &watch::Sender<bool>,
    mut servers: tokio::task::JoinSet<()>,
) {
    replica.ready.store(false, Ordering::SeqCst);
    tracing::info!("draining");
    tokio::time::sleep(options.wire.drain_delay).await;
    replica.door.close();
    let _ = end.send(true);
    let all = async { while servers.join_next().await.is_some() {} };
    if tokio::time::timeout(options.wire.drain.saturating_sub(options.wire.drain_delay), all).await.is_err() {
        tracing::warn!(left = replica.door.in_flight(), "the time for draining is over");
    }
}
