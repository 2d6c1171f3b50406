//! The controller of InferenceServices.

use crate::apply::{ApplyError, apply, is_status};
use crate::build::{Applied, Objects, build};
use crate::config::Settings;
use crate::index::{Guarded, Index};
use crate::metrics::Metrics;
use crate::observe::{Observed, observe};
use crate::plan::last_good::last_good;
use crate::plan::{Plan, Problem, Refusal, plan};
use crate::report;
use crate::scale::{Plans, ScaleView};
use crate::status::{self, Outcome, status};
use crate::unreadable;
use futures::{Stream, StreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::events::Recorder;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use millrace_crds::conditions::{ACCEPTED, reason};
use millrace_crds::{API_VERSION, InferenceService, InferenceServiceStatus, labels};
use millrace_scaler::ServiceId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The first wait after a failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A look without cause, as a net; up to half of it is added at random, so that services don't come all at once.
const RESYNC: Duration = Duration::from_secs(600);
/// A pod that hangs is looked at again so soon.
const HANGING: Duration = Duration::from_secs(3);
/// What stands in the way and isn't ours is looked at again so soon: no watch of ours tells when it goes.
const IN_THE_WAY: Duration = Duration::from_secs(15);

/// What every reconciliation works with.
pub struct Context {
    /// Client.
    pub client: Client,
    /// The platform's settings.
    pub settings: Settings,
    /// What is known of the cluster.
    pub index: Index,
    /// Where plans for the scaler go.
    pub plans: Arc<Plans>,
    /// What the scaler decided.
    pub view: Arc<ScaleView>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Events.
    pub recorder: Recorder,
    /// Failures in a row, by service.
    pub failures: Mutex<HashMap<ObjectRef<Guarded>, u32>>,
}

/// Why a reconciliation failed. A bad spec is no failure: it gets a status.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something couldn't be read.
    #[error("the cluster can't be read: {0}")]
    Observe(#[source] Box<kube::Error>),
    /// An object couldn't be written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Status couldn't be written.
    #[error("status can't be written: {0}")]
    Status(#[source] Box<kube::Error>),
    /// A fault of the program.
    #[error("objects can't be built: {0}")]
    Build(String),
}

/// Runs until `shutdown` resolves.
pub async fn run(
    context: Arc<Context>,
    concurrency: u16,
    one: impl Stream<Item = ObjectRef<Guarded>> + Send + 'static,
    all: impl Stream<Item = ()> + Send + 'static,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) {
    Controller::new(Api::<Guarded>::all(context.client.clone()), watcher::Config::default())
        .with_config(controller::Config::default().concurrency(concurrency))
        .reconcile_on(one)
        .reconcile_all_on(all)
        .graceful_shutdown_on(shutdown)
        .run(reconcile, failed, context.clone())
        .for_each(|ended| {
            let context = context.clone();
            async move { settle(&context, ended) }
        })
        .await;
}

/// One look at one service.
async fn reconcile(guard: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let Ok(service) = &guard.0 else { return unreadable(&guard, &context).await };
    let (started, now) = (Instant::now(), Timestamp::now());
    let observed = observe(&context.client, &context.index, Arc::new(service.clone()), now)
        .await
        .map_err(|error| Error::Observe(Box::new(error)))?;
    let planned = plan(&observed, &context.settings);
    let done = carry_out(planned, &observed, &context).await?;
    let status = tell(&done, &observed, &context, now);
    patch(&status, &observed, &context).await?;
    context.metrics.took(started.elapsed());
    context.metrics.reconciled("service", if done.is_ok() { "done" } else { "refused" });
    Ok(next(&observed, &done))
}

type Done = Result<(Plan, Objects<Applied>), Refusal>;

/// Builds and writes what is planned. What somebody else's object stands in the way of is a problem of the spec.
async fn carry_out(planned: Result<Plan, Vec<Problem>>, observed: &Observed, context: &Context) -> Result<Done, Error> {
    let plan = match planned {
        Ok(plan) => plan,
        Err(problems) => return Ok(Err(refuse(problems, observed, context))),
    };
    let objects = build(&plan, observed, &context.settings).map_err(Error::Build)?;
    match apply(&context.client, objects, observed).await {
        Ok(applied) => {
            context.plans.set(id(&plan.service), plan.scaling.clone());
            Ok(Ok((plan, applied)))
        }
        Err(foreign @ ApplyError::Foreign { .. }) if observed.service.metadata.deletion_timestamp.is_none() => {
            let problem = Problem::new(ACCEPTED, reason::CONFLICT, foreign.to_string());
            Ok(Err(refuse(vec![problem], observed, context)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Leaves what ran to the scaler, also after a restart: the plan of the last good revision takes the place of the spec's.
fn refuse(problems: Vec<Problem>, observed: &Observed, context: &Context) -> Refusal {
    let (service, last_good) = (id(&observed.service), last_good(observed, &context.settings));
    match &last_good {
        Some(plan) => context.plans.set(service, plan.clone()),
        None => context.plans.remove(&service),
    }
    Refusal { problems, last_good }
}

fn tell(done: &Done, observed: &Observed, context: &Context, now: Timestamp) -> InferenceServiceStatus {
    let scale = context.view.get(&id(&observed.service));
    let outcome = match done {
        Ok((plan, applied)) => Outcome::Done(plan, applied),
        Err(refusal) => Outcome::Refused(refusal),
    };
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    status(&outcome, &status::Context { observed, settings: &context.settings, scale: scale.as_ref(), now: &now })
}

/// Writes status if it says something new, and tells what has changed.
async fn patch(status: &InferenceServiceStatus, observed: &Observed, context: &Context) -> Result<(), Error> {
    let service = &observed.service;
    if service.status.as_ref() == Some(status) {
        return Ok(());
    }
    let name = service.name_any();
    let api = Api::<InferenceService>::namespaced(context.client.clone(), &service.namespace().unwrap_or_default());
    let body = serde_json::json!({"apiVersion": API_VERSION, "kind": "InferenceService", "metadata": {"name": name, "uid": service.uid()}, "status": status});
    match api.patch_status(&name, &PatchParams::apply(labels::STATUS_MANAGER).force(), &Patch::Apply(&body)).await {
        Ok(_) => {}
        // Deleted meanwhile: there is nobody to tell.
        Err(error) if is_status(&error, 404) => return Ok(()),
        Err(error) => return Err(Error::Status(Box::new(error))),
    }
    let old = service.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    report::publish(&context.recorder, &**service, &report::transitions(old, &status.conditions)).await;
    Ok(())
}

/// A pod that hangs tells why only after a while, and by no change of its own; nor does what is somebody else's.
fn next(observed: &Observed, done: &Done) -> Action {
    if done.as_ref().is_err_and(|refusal| refusal.problems.iter().any(|problem| problem.reason == reason::CONFLICT)) {
        return Action::requeue(IN_THE_WAY);
    }
    if observed.pods.iter().any(|pod| pod.creating && !pod.terminating) {
        return Action::requeue(HANGING);
    }
    Action::requeue(RESYNC.mul_f64(1.0 + rand::random::<f64>() / 2.0))
}

/// A service that this release can't read: what runs goes on, and the status says why nothing else happens.
async fn unreadable(guard: &Guarded, context: &Context) -> Result<Action, Error> {
    context.metrics.reconciled("service", "refused");
    let told = unreadable::tell(&context.client, &context.recorder, guard, Timestamp::now()).await;
    told.map(|()| Action::await_change()).map_err(|error| Error::Status(Box::new(error)))
}

/// The wait after a failure: for this service alone, longer each time.
fn failed(guard: Arc<Guarded>, error: &Error, context: Arc<Context>) -> Action {
    let mut failures = context.failures.lock().unwrap_or_else(PoisonError::into_inner);
    let count = failures.entry(ObjectRef::from_obj(&*guard)).or_default();
    *count = count.saturating_add(1);
    let wait = wait_after(*count);
    tracing::warn!(namespace = guard.namespace(), name = guard.name_any(), %error, failures = *count, ?wait, "reconciliation failed");
    context.metrics.reconciled("service", "failed");
    Action::requeue(wait)
}

fn wait_after(failures: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_WAIT)
}

/// Forgets failures of what went well, and everything of what is gone.
fn settle(context: &Context, ended: Result<(ObjectRef<Guarded>, Action), controller::Error<Error, watcher::Error>>) {
    let forget = |object: &ObjectRef<Guarded>| {
        _ = context.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(object)
    };
    match ended {
        Ok((object, _)) => forget(&object),
        Err(controller::Error::ObjectNotFound(gone)) => {
            context.plans.remove(&ServiceId::new(gone.namespace.as_deref().unwrap_or_default(), &gone.name));
        }
        Err(controller::Error::ReconcilerFailed(..)) => {}
        Err(error) => tracing::warn!(%error, "watch failed; it is taken up again"),
    }
}

fn id(service: &InferenceService) -> ServiceId {
    ServiceId::new(service.meta().namespace.as_deref().unwrap_or_default(), &service.name_any())
}

#[cfg(test)]
mod tests;
