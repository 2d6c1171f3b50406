//! What the scaler remembers, kept in ConfigMaps of the release's namespace for the next leader.
//!
//! One ConfigMap for about a hundred services, each written at most once a minute, and only if it changed. A service may
//! move from one to another when services come or go: each entry names its service, and of two the newer one counts.

use crate::apply::is_status;
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use millrace_crds::labels::{CHECKPOINT_MANAGER, COMPONENT, COMPONENT_OPERATOR, MANAGED_BY, MANAGER};
use millrace_scaler::{Checkpoint, Remembered, ServiceId, State};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Services of one ConfigMap, about.
const SERVICES: usize = 100;
/// Least time between two writes of one.
const PERIOD: f64 = 60.0;
/// The API server takes no object beyond 1 MiB; base64 and names leave a hundred services well below.
const LARGEST: usize = 900_000;
const KEY: &str = "services.json";
const TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 3;

/// Keeps checkpoints, in turn.
#[derive(Debug)]
pub struct Checkpoints {
    api: Api<ConfigMap>,
    release: String,
    parts: BTreeMap<usize, Part>,
    /// The call that is under way; the scaler never waits for it.
    call: Option<JoinHandle<Result<Done>>>,
}

/// One ConfigMap.
#[derive(Debug, Default)]
struct Part {
    /// When a write was last tried.
    tried: f64,
    /// What was last written, without the time, which alone is no news.
    written: Option<Vec<Remembered>>,
}

/// What is to be done with a ConfigMap.
#[derive(Clone, Debug, PartialEq)]
enum Due {
    Write(usize, Checkpoint),
    Delete(usize),
}

#[derive(Debug)]
enum Done {
    Written(usize, Vec<Remembered>),
    Deleted(usize),
}

impl Checkpoints {
    /// Of `release` in `namespace`.
    pub fn new(client: &Client, namespace: &str, release: &str) -> Self {
        let api = Api::namespaced(client.clone(), namespace);
        Self { api, release: release.to_owned(), parts: BTreeMap::new(), call: None }
    }

    /// What a predecessor left. What can't be read is told, and missed.
    pub async fn read(&mut self) -> Checkpoint {
        for attempt in 1..=ATTEMPTS {
            match timeout(TIMEOUT, self.list()).await.context("the API server took too long").flatten() {
                Ok(parts) => return self.merge(parts),
                Err(error) => tracing::warn!(attempt, "what the last leader knew can't be read: {error:#}"),
            }
        }
        Checkpoint::default()
    }

    async fn list(&self) -> Result<Vec<(usize, Checkpoint)>> {
        let selector = format!("{MANAGED_BY}={MANAGER},{COMPONENT}={COMPONENT_OPERATOR}");
        let found = self.api.list(&ListParams::default().labels(&selector)).await?;
        let parts = found.items.iter().filter_map(|map| {
            let name = map.name_any();
            let number = name.strip_prefix(&self.release)?.strip_prefix("-scaling-")?.parse().ok()?;
            let text = map.data.as_ref().and_then(|data| data.get(KEY)).map_or("{}", String::as_str);
            let read = serde_json::from_str(text);
            let read =
                read.inspect_err(|error| tracing::warn!(name, %error, "a checkpoint can't be read; it is left out"));
            Some((number, read.unwrap_or_default()))
        });
        Ok(parts.collect())
    }

    /// Of two entries for a service the newer one counts.
    fn merge(&mut self, mut parts: Vec<(usize, Checkpoint)>) -> Checkpoint {
        parts.sort_by(|a, b| a.1.at.total_cmp(&b.1.at));
        let mut services = BTreeMap::new();
        let at = parts.last().map_or(0.0, |(_, newest)| newest.at);
        for (number, part) in parts {
            self.parts.insert(number, Part { tried: part.at, written: None });
            services.extend(part.services.into_iter().map(|remembered| (remembered.service.clone(), remembered)));
        }
        Checkpoint { at, services: services.into_values().collect() }
    }

    /// Starts what is to be done now, if the last call has ended.
    pub async fn keep(&mut self, now: f64, state: &State) {
        if self.call.as_ref().is_some_and(|call| !call.is_finished()) {
            return;
        }
        if let Some(call) = self.call.take() {
            match call.await.context("the call broke off").flatten() {
                Ok(Done::Written(number, services)) => self.parts.entry(number).or_default().written = Some(services),
                Ok(Done::Deleted(number)) => _ = self.parts.remove(&number),
                Err(error) => tracing::warn!("what the scaler knows can't be kept for a successor: {error:#}"),
            }
        }
        if let Some(due) = self.due(now, state) {
            self.call = Some(tokio::spawn(perform(self.api.clone(), self.release.clone(), due)));
        }
    }

    /// One ConfigMap at a time, each at most once a minute.
    fn due(&mut self, now: f64, state: &State) -> Option<Due> {
        let count = state.remembered().div_ceil(SERVICES).max(1);
        // A clock that was set back must not stop all writes.
        let rests = |part: &Part, period: f64| (0.0..period).contains(&(now - part.tried));
        let number = (0..count).find(|number| !self.parts.get(number).is_some_and(|part| rests(part, PERIOD)));
        if let Some(number) = number {
            let part = self.parts.entry(number).or_default();
            part.tried = now;
            let checkpoint = state.checkpoint(now, |service| part_of(service, count) == number);
            let news = part.written.as_ref() != Some(&checkpoint.services);
            return news.then_some(Due::Write(number, checkpoint));
        }
        // What lay in those too many has been written elsewhere by now.
        let surplus = self.parts.range(count..).find(|(_, part)| !rests(part, 2.0 * PERIOD));
        surplus.map(|(number, _)| Due::Delete(*number))
    }
}

async fn perform(api: Api<ConfigMap>, release: String, due: Due) -> Result<Done> {
    match due {
        Due::Write(number, checkpoint) => {
            let map = json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name(&release, number), "labels": {MANAGED_BY: MANAGER, COMPONENT: COMPONENT_OPERATOR}},
                "data": {KEY: text(&checkpoint)?},
            });
            let parameters = PatchParams::apply(CHECKPOINT_MANAGER).force();
            let (name, patch) = (name(&release, number), Patch::Apply(map));
            timeout(TIMEOUT, api.patch(&name, &parameters, &patch)).await.context("the API server took too long")??;
            Ok(Done::Written(number, checkpoint.services))
        }
        Due::Delete(number) => {
            let name = name(&release, number);
            let parameters = DeleteParams::default();
            match timeout(TIMEOUT, api.delete(&name, &parameters)).await.context("the API server took too long")? {
                Err(error) if !is_status(&error, 404) => Err(error.into()),
                _ => Ok(Done::Deleted(number)),
            }
        }
    }
}

/// A checkpoint as it is kept. Too large a one goes without what is learned anew in minutes.
fn text(checkpoint: &Checkpoint) -> Result<String> {
    let text = serde_json::to_string(checkpoint)?;
    if text.len() <= LARGEST {
        return Ok(text);
    }
    let bare = checkpoint.services.iter().cloned().map(|one| Remembered {
        counters: Vec::new(),
        late: None,
        times: Vec::new(),
        ..one
    });
    Ok(serde_json::to_string(&Checkpoint { at: checkpoint.at, services: bare.collect() })?)
}

fn name(release: &str, number: usize) -> String {
    format!("{release}-scaling-{number}")
}

/// Where a service belongs: the same for every leader (FNV-1a).
fn part_of(service: &ServiceId, count: usize) -> usize {
    let bytes = service.namespace.bytes().chain([b'/']).chain(service.name.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash % count as u64) as usize
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
