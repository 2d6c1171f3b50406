//! Leadership: one lease, held by one operator. Advisory: every write must also be safe with two leaders.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::client::{Body, ConfigExt};
use kube::{Api, Client, Config};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceBuilder;

/// A lease that wasn't renewed for so long is free.
const DURATION: Duration = Duration::from_secs(15);
/// A holder that couldn't renew for so long gives up: well before another takes over.
const DEADLINE: Duration = Duration::from_secs(10);
/// Time between renewals, and between looks of those that wait.
const PERIOD: Duration = Duration::from_secs(2);
/// Longest single call.
const CALL: Duration = Duration::from_secs(4);

/// A client for renewals alone: without the usual retries, which may wait for minutes.
///
/// # Errors
/// The configuration holds no usable credentials.
pub fn client(config: Config) -> anyhow::Result<Client> {
    let connector = config.rustls_https_connector()?;
    let hyper =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .map_err(tower::BoxError::from)
        .service(hyper);
    Ok(Client::new(service, config.default_namespace))
}

/// A candidate for the lease.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    holder: String,
    /// What was last seen of another holder, and when on our own clock: the clocks of two machines are never compared.
    seen: Option<(Option<MicroTime>, Instant)>,
}

impl Candidate {
    /// A candidate called `holder` for lease `name`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: String, holder: String) -> Self {
        Self { api: Api::namespaced(client, namespace), name, holder, seen: None }
    }

    /// Waits until the lease is won.
    pub async fn win(&mut self) {
        loop {
            match timeout(CALL, self.attempt()).await {
                Ok(Ok(true)) => return,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the lease can't be read or written"),
                Err(_) => tracing::warn!("the API server doesn't answer in time about the lease"),
            }
            sleep(PERIOD).await;
        }
    }

    /// Renews until it can't: then the lease must be taken for lost.
    pub async fn keep(&mut self) {
        let mut renewed = Instant::now();
        while renewed.elapsed() < DEADLINE {
            sleep(PERIOD).await;
            let started = Instant::now();
            match timeout(CALL, self.attempt()).await {
                Ok(Ok(true)) => renewed = started,
                Ok(Ok(false)) => return,
                Ok(Err(error)) => tracing::warn!(%error, "the lease can't be renewed"),
                Err(_) => tracing::warn!("the API server doesn't answer in time about the lease"),
            }
        }
    }

    /// Gives the lease up, so that another needn't wait.
    pub async fn release(&self) {
        let give_up = async {
            let mut lease = self.api.get(&self.name).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(&self.holder) {
                spec.holder_identity = None;
                self.api.replace(&self.name, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        if !matches!(timeout(CALL, give_up).await, Ok(Ok(()))) {
            tracing::warn!("the lease couldn't be given up; it runs out by itself");
        }
    }

    /// Takes or renews the lease; `false`: another holds it. A write carries the version that was read, so of two one fails.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.spec(&LeaseSpec::default())) };
            return lost_race(self.api.create(&PostParams::default(), &lease).await);
        };
        let old = lease.spec.clone().unwrap_or_default();
        if !self.is_free(&old) {
            return Ok(false);
        }
        lease.spec = Some(self.spec(&old));
        lost_race(self.api.replace(&self.name, &PostParams::default(), &lease).await)
    }

    fn is_free(&mut self, lease: &LeaseSpec) -> bool {
        let holder = lease.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() || holder == self.holder {
            return true;
        }
        match &self.seen {
            Some((renewed, since)) if *renewed == lease.renew_time => since.elapsed() > DURATION,
            _ => {
                self.seen = Some((lease.renew_time.clone(), Instant::now()));
                false
            }
        }
    }

    fn spec(&self, old: &LeaseSpec) -> LeaseSpec {
        let now = MicroTime(k8s_openapi::jiff::Timestamp::now());
        let same = old.holder_identity.as_deref() == Some(self.holder.as_str());
        LeaseSpec {
            holder_identity: Some(self.holder.clone()),
            lease_duration_seconds: Some(i32::try_from(DURATION.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: if same { old.acquire_time.clone() } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(old.lease_transitions.unwrap_or(0) + i32::from(!same)),
            ..LeaseSpec::default()
        }
    }
}

/// A conflict is a race that another won.
fn lost_race(written: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match written {
        Ok(_) => Ok(true),
        Err(error) if crate::apply::is_status(&error, 409) => Ok(false),
        Err(error) => Err(error),
    }
}
