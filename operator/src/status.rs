//! What is told of a service: pure, from what was planned, what is, and what was told before.

mod cause;
mod conditions;
#[cfg(test)]
mod tests;

use crate::build::{Applied, Objects};
use crate::config::Settings;
use crate::observe::Observed;
use crate::plan::{self, Plan, Refusal};
use crate::scale::ScaleState;
use crate::standby::{self, Standby};
use cause::{Cause, bounded};
use kube::ResourceExt;
use millrace_crds::{
    AcceleratorPool, Address, Failure, InferenceServiceStatus, ModelState, ModelStatus, Money, Name, PoolReplicas,
    ScalingStatus, Token, Traffic, labels,
};
use std::collections::BTreeMap;

pub use conditions::{refused, settle};

/// What became of a reconciliation.
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// It was carried out.
    Done(&'a Plan, &'a Objects<Applied>),
    /// It wasn't; what ran goes on.
    Refused(&'a Refusal),
}

/// What status is made from, beside the outcome.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What was observed.
    pub observed: &'a Observed,
    /// The platform's settings.
    pub settings: &'a Settings,
    /// The scaler's last decision.
    pub scale: Option<&'a ScaleState>,
    /// Now, RFC 3339.
    pub now: &'a str,
}

/// What is known of the service's replicas, counted once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Pods that aren't on their way out.
    pub pods: u32,
    /// Ready pods by revision.
    pub ready: BTreeMap<String, u32>,
    /// Standby servers that answer, by the revision that they serve.
    pub standbys: BTreeMap<String, u32>,
    /// Asked for, by revision.
    pub desired: BTreeMap<String, u32>,
}

/// The status that the service should have.
#[must_use]
pub fn status(outcome: &Outcome<'_>, context: &Context<'_>) -> InferenceServiceStatus {
    let observed = context.observed;
    let service = &observed.service;
    let old = service.status.clone().unwrap_or_default();
    let counts = count(outcome, observed);
    let mut new = InferenceServiceStatus {
        observed_generation: service.metadata.generation,
        replicas: counts.pods,
        selector: Some(selector(&service.name_any())),
        ..old.clone()
    };
    addresses(&mut new, context);
    if let Some(scale) = context.scale {
        new.scaling =
            Some(ScalingStatus { desired: scale.desired, reason: bounded(&scale.reason, 1_024), at: scale.at.clone() });
    }
    let cause = cause::of(observed, outcome).or_else(|| cause::no_room(outcome, context.scale));
    if let Outcome::Done(plan, applied) = outcome {
        prove(&mut new, plan, &counts);
        new.pools = pools(plan, applied, context);
        new.model = Some(model(plan, &new, &counts, cause.as_ref()));
    }
    new.conditions = conditions::conditions(outcome, context, &new, &counts, cause.as_ref());
    settle(&mut new.conditions, &old.conditions, service.metadata.generation, context.now);
    new
}

fn count(outcome: &Outcome<'_>, observed: &Observed) -> Counts {
    let mut counts = Counts::default();
    for pod in observed.pods.iter().filter(|pod| !pod.terminating) {
        counts.pods += 1;
        *counts.ready.entry(pod.revision.clone()).or_default() += u32::from(pod.ready);
    }
    for (_, slot) in observed.standbys.iter().filter(|standby| standby.serves()).filter_map(Standby::loan) {
        *counts.standbys.entry(slot.revision.to_string()).or_default() += 1;
    }
    let live = observed.owned.deployments.iter().map(|live| &**live);
    let deployments: BTreeMap<String, _> = match outcome {
        Outcome::Done(_, applied) => {
            live.chain(&applied.deployments).map(|deployment| (deployment.name_any(), deployment)).collect()
        }
        Outcome::Refused(_) => live.map(|deployment| (deployment.name_any(), deployment)).collect(),
    };
    for deployment in deployments.values() {
        let revision = deployment.labels().get(labels::REVISION).cloned().unwrap_or_default();
        *counts.desired.entry(revision).or_default() += replicas(deployment);
    }
    counts
}

fn replicas(deployment: &k8s_openapi::api::apps::v1::Deployment) -> u32 {
    let asked = deployment.spec.replicas.unwrap_or(1);
    u32::try_from(asked).unwrap_or(0)
}

/// A revision with a ready pod is proven, and the newest proven one with a ready pod takes the requests.
fn prove(new: &mut InferenceServiceStatus, plan: &Plan, counts: &Counts) {
    let known: Vec<&str> = plan.active().map(|revision| revision.name.as_str()).collect();
    let ready = |name: &str| counts.ready.get(name).copied().unwrap_or(0) > 0;
    new.proven.retain(|name| known.contains(&name.as_str()));
    for name in known.iter().filter(|name| ready(name)) {
        if !new.proven.iter().any(|proven| proven.as_str() == *name) {
            new.proven.push(Token::from(*name));
        }
    }
    new.proven.sort();
    new.proven.truncate(4);
    let stays = plan::traffic(&plan.service).filter(|name| known.contains(&name.as_str()));
    let takes = if ready(&plan.newest.name) { Some(plan.newest.name.clone()) } else { stays };
    let version =
        |name: &str| plan.active().find(|revision| revision.name == name).map_or(0, |revision| revision.version);
    new.traffic = takes
        .iter()
        .map(|name| Traffic { revision: Token::from(name.as_str()), version: version(name), weight: 100 })
        .collect();
}

fn addresses(new: &mut InferenceServiceStatus, context: &Context<'_>) {
    let service = &context.observed.service;
    let (namespace, name) = (service.namespace().unwrap_or_default(), service.name_any());
    let settings = context.settings;
    if !settings.gateway_url.is_empty() {
        new.url = Some(format!("{}/{namespace}/{name}", settings.gateway_url));
        let host = settings.gateway_url.split_once("://").map_or(settings.gateway_url.as_str(), |(_, host)| host);
        let host = host.split('/').next().unwrap_or_default();
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.chars().all(|digit| digit.is_ascii_digit()));
        new.grpc_address = Some(if has_port { host.to_owned() } else { format!("{host}:443") });
    }
    if !settings.gateway_address.is_empty() {
        new.address = Some(Address { url: format!("https://{}/{namespace}/{name}", settings.gateway_address) });
    }
}

fn selector(name: &str) -> String {
    crate::build::common(name).into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn model(plan: &Plan, new: &InferenceServiceStatus, counts: &Counts, cause: Option<&Cause>) -> ModelStatus {
    let newest = &plan.newest;
    let ready = counts.ready.get(&newest.name).copied().unwrap_or(0);
    let proven = new.proven.iter().any(|name| name.as_str() == newest.name);
    let failure = cause.filter(|cause| cause.of_server && cause.revision == newest.name);
    let spec = plan.inputs.model.as_ref();
    let first = new.pools.iter().find(|pool| pool.desired > 0).or(new.pools.first());
    let name = first.and_then(|pool| pool.variant.clone());
    let variant = spec.and_then(|model| model.variants.iter().find(|variant| Some(&variant.name) == name.as_ref()));
    ModelStatus {
        revision: Token::from(newest.name.as_str()),
        version: newest.version,
        sha256: match variant {
            Some(variant) => Some(variant.sha256.clone()),
            None => spec.and_then(|model| model.sha256.clone()),
        },
        variant: name,
        state: match (ready, failure, counts.desired.get(&newest.name).copied().unwrap_or(0)) {
            (1.., _, _) => ModelState::Loaded,
            (0, Some(_), _) => ModelState::Failed,
            (0, None, 1..) => ModelState::Loading,
            (0, None, 0) if proven => ModelState::Loaded,
            (0, None, 0) => ModelState::Pending,
        },
        last_failure: failure.map(|cause| Failure {
            reason: Token::from(cause.reason),
            message: bounded(&cause.message, 1_024),
            count: cause.count,
        }),
    }
}

/// Replicas by pool: the allowed ones in their order, then others that still have some.
fn pools(plan: &Plan, applied: &Objects<Applied>, context: &Context<'_>) -> Vec<PoolReplicas> {
    let observed = context.observed;
    let mut names: Vec<String> = plan.places.allowed.iter().map(|place| place.pool.name_any()).collect();
    for pod in &observed.pods {
        if !names.contains(&pod.pool) && !pod.pool.is_empty() {
            names.push(pod.pool.clone());
        }
    }
    names.truncate(64);
    names.iter().map(|name| pool(name, plan, applied, context)).collect()
}

fn pool(name: &str, plan: &Plan, applied: &Objects<Applied>, context: &Context<'_>) -> PoolReplicas {
    let observed = context.observed;
    let of_pool = |labelled: Option<&String>| labelled.map(String::as_str) == Some(name);
    let variant = applied.deployments.iter().find_map(|made| {
        let made = made.labels();
        let newest = made.get(labels::REVISION) == Some(&plan.newest.name) && of_pool(made.get(labels::POOL));
        made.get(labels::VARIANT).filter(|_| newest)
    });
    let desired = observed
        .owned
        .deployments
        .iter()
        .filter(|live| of_pool(live.labels().get(labels::POOL)))
        .map(|live| replicas(live))
        .sum();
    let pods = || observed.pods.iter().filter(|pod| pod.pool == name && !pod.terminating);
    let known = observed.pools.iter().find(|pool| pool.name_any() == name);
    let planned = plan.scaling.pools.iter().find(|pool| pool.name.as_str() == name);
    let standbys = observed.standbys.iter().filter(|standby| standby.pool.as_str() == name && standby.serves()).count();
    PoolReplicas {
        name: name.into(),
        accelerator: known.map_or_else(|| Token::from("unknown"), |pool| pool.spec.accelerator.clone()),
        desired,
        ready: u32::try_from(pods().filter(|pod| pod.ready).count()).unwrap_or(u32::MAX),
        standbys: u32::try_from(standbys).unwrap_or(u32::MAX),
        starts_cold: known.and_then(|pool| starts_cold(pool, plan, applied, context)),
        variant: variant.map(|name| Name::from(name.as_str())),
        waiting: pods().find_map(|pod| pod.trouble.as_ref()).map(|trouble| bounded(&trouble.message, 512)),
        hourly_cost: planned.map(|pool| Money::from(format!("{:.2}", pool.replica_cost() * f64::from(desired)))),
    }
}

/// Why the newest revision gets none of the pool's standby servers, where there are some: what it is, or what the scaler found.
fn starts_cold(
    pool: &AcceleratorPool,
    plan: &Plan,
    applied: &Objects<Applied>,
    context: &Context<'_>,
) -> Option<String> {
    let newest = Some(&plan.newest.name);
    let deployment = applied.deployments.iter().find(|made| {
        made.labels().get(labels::REVISION) == newest && made.labels().get(labels::POOL) == Some(&pool.name_any())
    })?;
    let map = applied.config_maps.iter().find(|made| made.labels().get(labels::REVISION) == newest)?;
    if pool.spec.standby.replicas == 0 {
        return None;
    }
    let why = match standby::asked(deployment, map) {
        Ok(asked) => standby::obstacle(&asked, pool, context.settings),
        Err(why) => Some(why),
    };
    why.or_else(|| context.scale.and_then(|scale| scale.cold.clone())).map(|why| bounded(&why, 512))
}
