//! Gives standby servers to services and takes them away, within the scaler's loop. No call is waited for: each pod has at
//! most one under way, and what it will have made of the pod counts from the moment that it is begun.

use super::bridge::{Failure, Loan, Reach};
use super::fit::{Asked, asked, obstacle};
use super::need::{Place, less_lent, missing, surplus};
use super::objects::{image, store_label};
use super::view::{Role, Standby, read};
use crate::config::Settings;
use crate::metrics::Metrics;
use crate::naming;
use crate::report;
use crate::scale::Stage;
use futures::FutureExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use millrace_crds::{API_VERSION, AcceleratorPool};
use millrace_scaler::{Decision, Fleet, PoolName, ServiceId, Supply, Want, share};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinHandle;

/// A slot whose standby has failed starts cold for so long, in seconds: what fails once fails again.
const REST: f64 = 60.0;

/// Reflected objects that lending goes by.
#[derive(Clone)]
pub struct Sources {
    /// Pods of standby servers, of the release's own namespace alone.
    pub standbys: Store<Pod>,
    /// What revisions are told.
    pub config_maps: Store<ConfigMap>,
    /// Millrace's Deployments of all namespaces, with `metadata.managedFields` (they say who owns `spec.replicas`).
    pub deployments: Store<Deployment>,
    /// Pools.
    pub pools: Store<AcceleratorPool>,
}

/// Lends standby servers.
pub struct Lender {
    sources: Sources,
    reach: Reach,
    settings: Settings,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    /// By uid of the pod.
    tasks: BTreeMap<String, Task>,
    /// Since when a place has wanted one.
    waiting: BTreeMap<Place, f64>,
    /// Until when a place gets none, and why.
    resting: BTreeMap<Place, (f64, String)>,
}

/// A pass of the scaler.
struct Pass<'p> {
    now: f64,
    fleet: &'p Fleet,
    decisions: &'p [Decision],
}

struct Task {
    kind: Kind,
    begun: Instant,
    handle: JoinHandle<Result<(), Failure>>,
    done: bool,
}

/// What is done with a pod.
enum Kind {
    Bridge(Place),
    End,
    Open,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl Lender {
    /// Lends those of the release's own namespace.
    #[must_use]
    pub fn new(reach: Reach, settings: &Settings, sources: Sources, recorder: Recorder, metrics: Arc<Metrics>) -> Self {
        Self {
            reach,
            sources,
            settings: settings.clone(),
            recorder,
            metrics,
            tasks: BTreeMap::new(),
            waiting: BTreeMap::new(),
            resting: BTreeMap::new(),
        }
    }

    /// All standbys as they are, or will be by what is under way.
    pub fn see(&mut self, now: f64) -> Vec<Standby> {
        let mut standbys: Vec<Standby> = self.sources.standbys.state().iter().filter_map(|pod| read(pod)).collect();
        standbys.sort_by(|a, b| a.name.cmp(&b.name));
        self.settle(now, &standbys);
        for standby in &mut standbys {
            match self.tasks.get(&standby.uid) {
                Some(Task { kind: Kind::Bridge((service, slot)), done, .. }) => {
                    let (service, slot) = (service.clone(), slot.clone());
                    standby.role = if *done { Role::Serving(service, slot) } else { Role::Assigned(service, slot) };
                }
                Some(Task { kind: Kind::End, .. }) => standby.stage = Stage::Terminating,
                Some(Task { kind: Kind::Open, .. }) if standby.role == Role::Gated => standby.role = Role::Free,
                _ => {}
            }
        }
        standbys
    }

    /// Forgets what has ended and shows, and what is gone; has failures told.
    fn settle(&mut self, now: f64, standbys: &[Standby]) {
        let seen: BTreeMap<&str, &Standby> = standbys.iter().map(|standby| (standby.uid.as_str(), standby)).collect();
        let mut over: Vec<(String, Option<(Place, Failure)>)> = Vec::new();
        let mut served: Vec<Place> = Vec::new();
        for (uid, task) in &mut self.tasks {
            let Some(standby) = seen.get(uid.as_str()) else {
                over.push((uid.clone(), None));
                continue;
            };
            if !task.done {
                let Some(ended) = (&mut task.handle).now_or_never() else { continue };
                match (&task.kind, ended.unwrap_or_else(|error| Err(Failure::Failed(error.into())))) {
                    (_, Ok(())) => task.done = true,
                    (_, Err(Failure::Lost)) => over.push((uid.clone(), None)),
                    (Kind::Bridge(place), Err(failure)) => over.push((uid.clone(), Some((place.clone(), failure)))),
                    (Kind::End | Kind::Open, Err(failure)) => {
                        tracing::warn!(pod = standby.name, "a standby can't be changed: {failure}");
                        over.push((uid.clone(), None));
                    }
                }
                if let (Kind::Bridge(place), true) = (&task.kind, task.done) {
                    self.metrics.lent("serving", Some(task.begun.elapsed()));
                    served.push(place.clone());
                }
            }
            let shows = match task.kind {
                Kind::Bridge(_) => matches!(standby.role, Role::Serving(..)),
                Kind::End => matches!(standby.stage, Stage::Terminating | Stage::Gone),
                Kind::Open => standby.role != Role::Gated,
            };
            if task.done && shows {
                over.push((uid.clone(), None));
            }
        }
        for place in served {
            self.tell(&place, false, "StandbyServes", "a standby server answers until a replica is ready");
        }
        for (uid, failed) in over {
            self.tasks.remove(&uid);
            let Some((place, failure)) = failed else { continue };
            self.metrics.lent("failed", None);
            let why = format!("a standby server failed: {failure}");
            self.tell(&place, true, "StandbyFailed", &why);
            self.resting.insert(place, (now + REST, why));
            if let (Failure::Failed(_), Some(standby)) = (failure, seen.get(uid.as_str())) {
                self.end(standby, "it has failed");
            }
        }
    }

    /// Ends, goes on with, gives and opens what is to be, after `decisions` on `fleet`. Gives why services that wanted a standby
    /// got none, as far as that isn't told of them anyway.
    pub fn step(
        &mut self,
        now: f64,
        standbys: &[Standby],
        fleet: &Fleet,
        decisions: &[Decision],
    ) -> BTreeMap<ServiceId, String> {
        self.resting.retain(|_, (until, _)| now < *until);
        if standbys.is_empty() {
            self.waiting.clear();
            return BTreeMap::new();
        }
        let pools: BTreeSet<&PoolName> = standbys.iter().map(|standby| &standby.pool).collect();
        let mut missing = missing(fleet, decisions, &pools);
        let deployed = |place: &Place| self.deployment(place).is_some();
        let ending = surplus(standbys, &missing, &deployed);
        let ended: BTreeSet<&str> = ending.iter().map(|(standby, _)| standby.uid.as_str()).collect();
        for (standby, why) in &ending {
            if let Some((service, slot)) = standby.loan() {
                self.tell(&(service.clone(), slot.clone()), false, "StandbyReleased", why);
            }
            self.end(standby, why);
        }
        self.resume(standbys.iter().filter(|standby| !ended.contains(standby.uid.as_str())));
        less_lent(&mut missing, standbys);
        self.give(&Pass { now, fleet, decisions }, standbys, &missing)
    }

    /// Goes on with what a predecessor has begun: to be assigned the same again is to be asked what became of it.
    fn resume<'s>(&mut self, standbys: impl Iterator<Item = &'s Standby>) {
        for standby in standbys {
            let Role::Assigned(service, slot) = &standby.role else { continue };
            let ends = matches!(standby.stage, Stage::Terminating | Stage::Gone);
            if ends || self.tasks.contains_key(&standby.uid) {
                continue;
            }
            let place = (service.clone(), slot.clone());
            match self.asked(&place) {
                Ok(asked) => self.bridge(standby, &place, asked),
                Err(why) => self.end(standby, &why),
            }
        }
    }

    fn give(
        &mut self,
        &Pass { now, fleet, decisions }: &Pass<'_>,
        standbys: &[Standby],
        missing: &BTreeMap<Place, u32>,
    ) -> BTreeMap<ServiceId, String> {
        let idle = |standby: &&Standby| !self.tasks.contains_key(&standby.uid);
        let mut free: BTreeMap<&PoolName, Vec<&Standby>> = BTreeMap::new();
        for standby in standbys.iter().filter(idle).filter(|standby| standby.is_free() && self.is_of_release(standby)) {
            free.entry(&standby.pool).or_default().push(standby);
        }
        let gated: Vec<&Standby> = standbys.iter().filter(idle).filter(|standby| standby.role == Role::Gated).collect();
        let mut supplies: BTreeMap<PoolName, Supply> = BTreeMap::new();
        free.iter().for_each(|(pool, all)| supplies.entry((*pool).clone()).or_default().free = all.len() as u32);
        gated.iter().for_each(|standby| supplies.entry(standby.pool.clone()).or_default().gated += 1);
        let mut cold = BTreeMap::new();
        let mut fitting = BTreeMap::new();
        let mut wants = Vec::new();
        self.waiting.retain(|place, _| missing.get(place).is_some_and(|count| *count > 0));
        for (place, count) in missing.iter().filter(|(_, count)| **count > 0) {
            let since = *self.waiting.entry(place.clone()).or_insert(now);
            if let Some((_, why)) = self.resting.get(place) {
                cold.insert(place.0.clone(), why.clone());
                continue;
            }
            if !free.contains_key(&place.1.pool) {
                continue;
            }
            // Why it doesn't fit is told in its status, whether it wants one or not.
            let Ok(asked) = self.asked(place) else { continue };
            fitting.insert(place.clone(), asked);
            wants.push(want(place, *count, since, fleet, standbys));
        }
        if wants.is_empty() && gated.is_empty() {
            return cold;
        }
        let shares = share(fleet, decisions, &wants, &supplies);
        for place in shares.given {
            let standby = free.get_mut(&place.1.pool).and_then(Vec::pop);
            if let (Some(standby), Some(asked)) = (standby, fitting.get(&place)) {
                self.bridge(standby, &place, asked.clone());
            }
        }
        let mut opened = shares.opened;
        for standby in gated {
            if let Some(left) = opened.get_mut(&standby.pool).filter(|left| **left > 0) {
                *left -= 1;
                let (reach, pod) = (self.reach.clone(), standby.clone());
                self.begin(standby, Kind::Open, async move { reach.open(&pod).await.map_err(Failure::Failed) });
            }
        }
        cold.extend(shares.denied);
        cold
    }

    /// Whether it runs what the release has now: one of an earlier release waits to be replaced.
    fn is_of_release(&self, standby: &Standby) -> bool {
        let pool = self.sources.pools.get(&ObjectRef::new(standby.pool.as_str()));
        pool.is_some_and(|pool| standby.image == image(&pool, &self.settings))
    }

    fn deployment(&self, (service, slot): &Place) -> Option<Arc<Deployment>> {
        let name = naming::deployment(&service.name, slot.revision.as_str(), slot.pool.as_str());
        let live = self.sources.deployments.get(&ObjectRef::new(&name).within(&service.namespace))?;
        live.metadata.deletion_timestamp.is_none().then_some(live)
    }

    /// What a standby would be told for a place.
    fn asked(&self, place: &Place) -> Result<Asked, String> {
        let (service, slot) = place;
        let name = naming::revision_object(&service.name, slot.revision.as_str());
        let map = self.sources.config_maps.get(&ObjectRef::new(&name).within(&service.namespace));
        let pool = self.sources.pools.get(&ObjectRef::new(slot.pool.as_str()));
        let (Some(deployment), Some(map), Some(pool)) = (self.deployment(place), map, pool) else {
            return Err("what it is made of isn't there".to_owned());
        };
        let asked = asked(&deployment, &map)?;
        obstacle(&asked, &pool, &self.settings).map_or(Ok(asked), Err)
    }

    fn bridge(&mut self, standby: &Standby, place: &Place, asked: Asked) {
        let pool = self.sources.pools.get(&ObjectRef::new(standby.pool.as_str()));
        let owner =
            pool.and_then(|pool| pool.owner_ref(&())).map(|owner| OwnerReference { controller: Some(true), ..owner });
        let loan = Loan {
            service: place.0.clone(),
            slot: place.1.clone(),
            assignment: asked.assignment,
            stores: asked.stores.iter().map(store_label).collect(),
            owner,
        };
        tracing::info!(service = %place.0, pod = standby.name, "a standby stands in");
        let (reach, pod) = (self.reach.clone(), standby.clone());
        self.begin(standby, Kind::Bridge(place.clone()), async move { reach.bridge(&pod, &loan).await });
    }

    /// Ends one, whatever is under way with it.
    fn end(&mut self, standby: &Standby, why: &str) {
        if self.tasks.get(&standby.uid).is_some_and(|task| matches!(task.kind, Kind::End)) {
            return;
        }
        tracing::info!(pod = standby.name, why, "a standby ends");
        let (reach, pod) = (self.reach.clone(), standby.clone());
        self.begin(standby, Kind::End, async move { reach.end(&pod).await.map_err(Failure::Failed) });
    }

    fn begin(
        &mut self,
        standby: &Standby,
        kind: Kind,
        call: impl Future<Output = Result<(), Failure>> + Send + 'static,
    ) {
        let task = Task { kind, begun: Instant::now(), handle: tokio::spawn(call), done: false };
        self.tasks.insert(standby.uid.clone(), task);
    }

    /// Tells the service's people; nobody waits for that.
    fn tell(&self, place: &Place, warning: bool, reason: &str, note: &str) {
        let owner = self.deployment(place).and_then(|live| live.owner_references().first().cloned());
        let service = ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some("InferenceService".to_owned()),
            name: Some(place.0.name.to_string()),
            namespace: Some(place.0.namespace.to_string()),
            uid: owner.map(|owner| owner.uid),
            ..ObjectReference::default()
        };
        let told = report::Transition { warning, reason: reason.to_owned(), note: report::cut(note) };
        let recorder = self.recorder.clone();
        tokio::spawn(async move { report::send(&recorder, &service, &told).await });
    }
}

fn want((service, slot): &Place, missing: u32, since: f64, fleet: &Fleet, standbys: &[Standby]) -> Want {
    let own = fleet.services.iter().find(|own| own.id == *service);
    let answers = own.is_some_and(|own| own.replicas.values().any(|count| count.ready > 0));
    let bridged =
        standbys.iter().any(|standby| standby.serves() && standby.loan().is_some_and(|(id, _)| id == service));
    Want { service: service.clone(), slot: slot.clone(), missing, asleep: !answers && !bridged, since }
}

#[cfg(test)]
#[path = "lend_tests.rs"]
mod tests;
