//! The controllers of pools, tenants and jobs: each writes its kind's status, computed from the index; that of pools keeps
//! their standby servers besides.

use crate::apply::{ApplyError, is_status};
use crate::controller::{Context, Error};
use crate::report;
use crate::unreadable;
use crate::{job, pool, standby, tenant};
use futures::{FutureExt, Stream, StreamExt, future};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};
use millrace_crds::{AcceleratorPool, Condition, InferenceJob, Tenant, labels};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// The wait after a failure.
const WAIT: Duration = Duration::from_secs(5);
/// A look without cause.
const RESYNC: Duration = Duration::from_secs(600);

/// A kind of which status is written.
trait Stated: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static {
    /// Its status.
    type Status: Serialize + PartialEq + Send + Sync;
    /// Label of its metrics.
    const METRIC: &'static str;
    /// Makes what it asks for, if that is anything.
    fn make(&self, _: &Context) -> impl Future<Output = Result<(), ApplyError>> + Send {
        future::ready(Ok(()))
    }
    /// The status that it should have.
    fn compute(&self, context: &Context, now: &str) -> Self::Status;
    /// The status that it has.
    fn current(&self) -> Option<&Self::Status>;
    /// Conditions of a status.
    fn conditions(status: &Self::Status) -> &[Condition];
}

impl Stated for AcceleratorPool {
    type Status = millrace_crds::AcceleratorPoolStatus;
    const METRIC: &'static str = "pool";
    fn make(&self, context: &Context) -> impl Future<Output = Result<(), ApplyError>> + Send {
        standby::keep(context, self)
    }
    fn compute(&self, context: &Context, now: &str) -> Self::Status {
        let index = &context.index;
        pool::status(self, &index.nodes.state(), &index.pods.state(), &index.standbys.state(), now)
    }
    fn current(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }
    fn conditions(status: &Self::Status) -> &[Condition] {
        &status.conditions
    }
}

impl Stated for Tenant {
    type Status = millrace_crds::TenantStatus;
    const METRIC: &'static str = "tenant";
    fn compute(&self, context: &Context, now: &str) -> Self::Status {
        let namespaces =
            context.index.namespaces.state().iter().map(|found| (found.name_any(), found.labels().clone())).collect();
        tenant::status(self, &context.index.tenants.state(), &namespaces, now)
    }
    fn current(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }
    fn conditions(status: &Self::Status) -> &[Condition] {
        &status.conditions
    }
}

impl Stated for InferenceJob {
    type Status = millrace_crds::InferenceJobStatus;
    const METRIC: &'static str = "job";
    fn compute(&self, _: &Context, now: &str) -> Self::Status {
        job::status(self, now)
    }
    fn current(&self) -> Option<&Self::Status> {
        self.status.as_ref()
    }
    fn conditions(status: &Self::Status) -> &[Condition] {
        &status.conditions
    }
}

/// Runs the three controllers until `shutdown` resolves.
pub async fn run(
    context: Arc<Context>,
    pools: impl Stream<Item = ()> + Send + 'static,
    tenants: impl Stream<Item = ()> + Send + 'static,
    shutdown: impl Future<Output = ()> + Clone + Send + Sync + 'static,
) {
    future::join3(
        one::<AcceleratorPool>(context.clone(), pools, shutdown.clone()),
        one::<Tenant>(context.clone(), tenants, shutdown.clone()),
        one::<InferenceJob>(context, future::pending::<()>().into_stream(), shutdown),
    )
    .await;
}

async fn one<K: Stated>(
    context: Arc<Context>,
    again: impl Stream<Item = ()> + Send + 'static,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) where
    K::DynamicType: Eq + Hash + Clone,
{
    let gather = controller::Config::default().debounce(Duration::from_millis(200)).concurrency(2);
    Controller::new(Api::<DeserializeGuard<K>>::all(context.client.clone()), watcher::Config::default())
        .with_config(gather)
        .reconcile_all_on(again)
        .graceful_shutdown_on(shutdown)
        .run(reconcile::<K>, |_, _: &Error, _| Action::requeue(WAIT), context)
        .for_each(|ended| {
            if let Err(error @ (controller::Error::ReconcilerFailed(..) | controller::Error::QueueError(_))) = &ended {
                tracing::warn!(kind = %K::kind(&()), %error, "status can't be kept");
            }
            future::ready(())
        })
        .await;
}

async fn reconcile<K: Stated>(guard: Arc<DeserializeGuard<K>>, context: Arc<Context>) -> Result<Action, Error> {
    let failed = |error: kube::Error| Error::Status(Box::new(error));
    let Ok(object) = &guard.0 else {
        context.metrics.reconciled(K::METRIC, "refused");
        unreadable::tell(&context.client, &context.recorder, &*guard, Timestamp::now()).await.map_err(failed)?;
        return Ok(Action::await_change());
    };
    let made = object.make(&context).await;
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let status = object.compute(&context, &now);
    if object.current() == Some(&status) {
        made?;
        return Ok(Action::requeue(RESYNC));
    }
    let body = serde_json::json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": object.name_any(), "uid": object.uid()}, "status": status});
    let request = kube::core::Request::new(K::url_path(&(), object.namespace().as_deref()))
        .patch_subresource(
            "status",
            &object.name_any(),
            &PatchParams::apply(labels::STATUS_MANAGER).force(),
            &Patch::Apply(&body),
        )
        .map_err(|error| failed(kube::Error::BuildRequest(error)))?;
    match context.client.request::<serde_json::Value>(request).await {
        Ok(_) => {}
        Err(error) if is_status(&error, 404) => return Ok(Action::await_change()),
        Err(error) => {
            context.metrics.reconciled(K::METRIC, "failed");
            return Err(failed(error));
        }
    }
    context.metrics.reconciled(K::METRIC, "done");
    let old = object.current().map(K::conditions).unwrap_or_default();
    report::publish(&context.recorder, object, &report::transitions(old, K::conditions(&status))).await;
    made?;
    Ok(Action::requeue(RESYNC))
}
