//! The life of the process: health first, then the lease, then everything that only the leader does.

use crate::ca::Keeper;
use crate::config::Flags;
use crate::controller::{self, Context};
use crate::index::{Triggers, index};
use crate::lease::{self, Candidate};
use crate::metrics::Metrics;
use crate::scale::{self, Plans, ScaleContext, ScaleView, Stores};
use crate::standby::Sources;
use crate::{http, statuses};
use anyhow::Context as _;
use futures::stream::unfold;
use futures::{FutureExt, Stream};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, Config};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

/// Certificates are looked at so often.
const CERTIFICATES: Duration = Duration::from_secs(3600);
/// The wait after certificates couldn't be renewed.
const AGAIN: Duration = Duration::from_secs(10);
/// No call may wait for longer. Watches are ended by the server before that.
const READ: Duration = Duration::from_secs(295);

/// Runs the operator until it is told to stop or loses the lease.
///
/// # Errors
/// It can't start, or has lost the lease: it must not go on.
pub async fn run(flags: Flags) -> anyhow::Result<()> {
    // One process, one provider of cryptography; a second installation is refused and harmless.
    _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = Config::infer().await.context("no cluster to work for")?;
    config.read_timeout = Some(READ);
    config.connect_timeout = Some(Duration::from_secs(5));
    let metrics = Arc::new(Metrics::default());
    let mut candidate = Candidate::new(
        lease::client(config.clone())?,
        &flags.namespace,
        format!("{}-operator", flags.release),
        flags.pod_name.clone(),
    );
    let client = Client::try_from(config)?;
    let stop = stop_signal()?;
    tokio::select! {
        ended = http::serve(flags.health_address, metrics.clone()) => return ended.context("health can't be served"),
        () = stop.clone() => return Ok(()),
        () = candidate.win() => tracing::info!("leading"),
    }
    metrics.leads(true);
    tokio::select! {
        ended = http::serve(flags.health_address, metrics.clone()) => ended.context("health can't be served"),
        () = candidate.keep() => anyhow::bail!("the lease is lost"),
        ended = lead(client, &flags, metrics.clone(), stop) => {
            candidate.release().await;
            ended
        }
    }
}

/// What only the leader does, until `stop` resolves.
async fn lead(
    client: Client,
    flags: &Flags,
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()> + Clone + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let settings = flags.settings()?;
    let (one, ones) = unbounded_channel();
    let (all, alls) = unbounded_channel();
    let (pool, pools) = unbounded_channel();
    let (tenant, tenants) = unbounded_channel();
    let triggers = Triggers { one, all, pools: pool, tenants: tenant };
    let keeper = Keeper {
        client: client.clone(),
        namespace: settings.namespace.clone(),
        release: settings.release.clone(),
        bundle: Arc::default(),
        identity: Arc::default(),
    };
    keeper.renew(k8s_openapi::jiff::Timestamp::now()).await.context("the release's certificates can't be made")?;
    let (index, watches) = index(&client, &settings.namespace, &triggers, keeper.bundle.clone());
    let reporter = Reporter { controller: "millrace-operator".to_owned(), instance: Some(flags.pod_name.clone()) };
    let (plans, view) = (Arc::new(Plans::default()), Arc::new(ScaleView::default()));
    let notify = triggers.one.clone();
    let recorder = Recorder::new(client.clone(), reporter);
    let scaling = ScaleContext {
        client: client.clone(),
        settings: settings.clone(),
        recorder: recorder.clone(),
        metrics: metrics.clone(),
        record: flags.record_decisions.clone(),
        plans: plans.clone(),
        view: view.clone(),
        stores: Stores {
            pods: index.pods.clone(),
            gateways: index.gateways.clone(),
            nodes: index.nodes.clone(),
            tenants: index.tenants.clone(),
            lending: Sources {
                standbys: index.standbys.clone(),
                config_maps: index.config_maps.clone(),
                deployments: index.deployments.clone(),
                pools: index.pools.clone(),
            },
        },
        identity: keeper.identity.clone(),
        notify: Arc::new(move |service| _ = notify.send(ObjectRef::new(&service.name).within(&service.namespace))),
    };
    let context = Arc::new(Context {
        recorder,
        failures: std::sync::Mutex::default(),
        index: index.clone(),
        client,
        settings,
        plans,
        view,
        metrics,
    });
    let services = controller::run(context.clone(), flags.concurrency, stream(ones), stream(alls), stop.clone());
    let others = statuses::run(context, stream(pools), stream(tenants), stop);
    tokio::select! {
        () = watches => anyhow::bail!("the watches have ended"),
        () = keep_certificates(&keeper, &triggers) => anyhow::bail!("certificates aren't kept any more"),
        ended = async {
            index.synced().await.context("the cluster can't be watched")?;
            tokio::select! {
                _ = futures::future::join(services, others) => Ok(()),
                _ = scale::run(scaling) => anyhow::bail!("the scaler has ended"),
            }
        } => ended,
    }
}

async fn keep_certificates(keeper: &Keeper, triggers: &Triggers) {
    let mut wait = CERTIFICATES;
    loop {
        tokio::time::sleep(wait).await;
        wait = match keeper.renew(k8s_openapi::jiff::Timestamp::now()).await {
            Ok(changed) => {
                if changed {
                    _ = triggers.all.send(());
                    _ = triggers.pools.send(());
                }
                CERTIFICATES
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "certificates can't be renewed; tried again soon");
                AGAIN
            }
        };
    }
}

/// A channel as a stream.
fn stream<T: Send + 'static>(channel: UnboundedReceiver<T>) -> impl Stream<Item = T> + Send + 'static {
    unfold(channel, async |mut channel| channel.recv().await.map(|item| (item, channel)))
}

/// Resolves for everybody once the process is told to end.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Clone + Send + Sync + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut end, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (stopped, stop) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = end.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopped.send_replace(true);
    });
    Ok(async move {
        let mut stop = stop;
        _ = stop.wait_for(|stopped| *stopped).await;
    }
    .shared())
}
