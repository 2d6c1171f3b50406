//! The leader's loop: hear, decide, write, tell.

use super::fleet::{Deployed, Seen, draw};
use super::pods::{self, Stage};
use super::scrape::{Heard, Pollers, Target};
use super::view::ScaleState;
use super::write::{Write, Written, apply, writes};
use super::{ScaleContext, convert};
use anyhow::Result;
use futures::StreamExt;
use millrace_crds::report::LATENCY_BOUNDS;
use millrace_scaler::{Accelerator, Decision, Fleet, Outcome, Replica, Reporter, ServiceId, State, View, decide};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

const TICK: Duration = Duration::from_secs(1);
/// Least time between two decisions, however many requests are newly held.
const LEAST_TICK: Duration = Duration::from_millis(50);
const WRITES_AT_ONCE: usize = 8;

/// Scales the fleet until it is dropped: the leader alone may run it.
///
/// # Errors
/// None that ends it: what fails is logged, and tried again a tick later.
pub async fn run(context: ScaleContext) -> Result<()> {
    let (sender, mut heard) = mpsc::channel(256);
    let mut scaling = Scaling {
        pollers: Pollers::new(context.identity.clone(), sender),
        state: State::new(&LATENCY_BOUNDS),
        written: Written::default(),
        timed: BTreeSet::new(),
        context,
    };
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            report = heard.recv() => {
                let Some(report) = report else { return Ok(()) };
                if !scaling.hear(report) {
                    continue;
                }
                // A request waits for a replica: decide now, not at the next tick.
                tokio::time::sleep_until(last + LEAST_TICK).await;
            }
        }
        while let Ok(report) = heard.try_recv() {
            scaling.hear(report);
        }
        scaling.tick().await;
        last = Instant::now();
    }
}

struct Scaling {
    context: ScaleContext,
    state: State,
    pollers: Pollers,
    written: Written,
    /// Pods whose start has been measured.
    timed: BTreeSet<Reporter>,
}

/// Who reports.
#[derive(Default)]
struct Reporters {
    gateways: BTreeSet<Reporter>,
    /// Ready servers by service.
    servers: BTreeMap<ServiceId, BTreeSet<Reporter>>,
    targets: Vec<(Target, IpAddr)>,
}

impl Scaling {
    /// Takes a report in; whether a request is held.
    fn hear(&mut self, report: Heard) -> bool {
        let now = clock();
        match report {
            Heard::Gateway(gateway, report) => {
                self.state.hear_gateway(now, &gateway, &convert::gateway(&report));
                report.services.iter().any(|service| service.held > 0)
            }
            Heard::Server(replica, report) => {
                self.state.hear_server(now, &replica, &convert::server(&report));
                false
            }
        }
    }

    async fn tick(&mut self) {
        let now = clock();
        let seen = self.see();
        let mut fleet = draw(&seen);
        let reporters = self.reporters(&seen, &fleet);
        self.note_starts(now, &seen);
        self.inform(now, &mut fleet, &reporters);
        self.pollers.follow(reporters.targets);
        let decisions = decide(now, &fleet);
        let failed = self.write(writes(&seen.deployments, &decisions)).await;
        self.tell(now, &fleet, &decisions, &failed);
    }

    fn see(&mut self) -> Seen {
        let stores = &self.context.stores;
        let mut deployments: Vec<Deployed> =
            stores.deployments.state().iter().filter_map(|deployment| Deployed::of(deployment)).collect();
        self.written.overlay(&mut deployments);
        Seen {
            plans: self.context.plans.snapshot(),
            tenant_of: self.context.plans.tenants(),
            deployments,
            pods: stores.pods.state(),
            nodes: stores.nodes.state(),
            pools: stores.pools.state(),
            tenants: stores.tenants.state(),
        }
    }

    /// Gateways that run, ready servers, and how to reach them.
    fn reporters(&mut self, seen: &Seen, fleet: &Fleet) -> Reporters {
        let mut reporters = Reporters::default();
        for pod in self.context.stores.gateways.state().iter().filter(|pod| pods::runs(pod)) {
            let Some(reporter) = pods::reporter(pod) else { continue };
            reporters.gateways.insert(reporter.clone());
            reporters.targets.extend(pods::address(pod).map(|address| (Target::Gateway(reporter), address)));
        }
        for pod in seen.pods.iter().filter(|pod| matches!(pods::stage(pod), Stage::Ready { .. })) {
            let (Some(reporter), Some((service, slot))) = (pods::reporter(pod), pods::slot(pod.as_ref())) else {
                continue;
            };
            let Some(pool) = fleet.pools.get(&slot.pool) else { continue };
            let accelerator: Accelerator = pool.accelerator.clone();
            reporters.servers.entry(service.clone()).or_default().insert(reporter.clone());
            let replica = Replica { pod: reporter, service, revision: slot.revision, accelerator };
            reporters.targets.extend(pods::address(pod).map(|address| (Target::Server(replica), address)));
        }
        let servers: BTreeSet<Reporter> = reporters.servers.values().flatten().cloned().collect();
        self.timed.retain(|pod| servers.contains(pod));
        self.state.retain(&reporters.gateways, &servers, &seen.plans.keys().cloned().collect());
        reporters
    }

    /// Measures how long starts take, once for each pod, while it is fresh.
    fn note_starts(&mut self, now: f64, seen: &Seen) {
        const FRESH: f64 = 60.0;
        for pod in &seen.pods {
            let Stage::Ready { since, made } = pods::stage(pod) else { continue };
            let (Some(reporter), Some((service, slot))) = (pods::reporter(pod), pods::slot(pod.as_ref())) else {
                continue;
            };
            let first = seen.plans.contains_key(&service) && self.timed.insert(reporter);
            if first && now - since < FRESH && pods::never_restarted(pod) {
                self.state.memory(&service).note_start(&slot.pool, since - made);
            }
        }
    }

    /// Adds what is remembered and heard to the fleet.
    fn inform(&mut self, now: f64, fleet: &mut Fleet, reporters: &Reporters) {
        let none = BTreeSet::new();
        for service in &mut fleet.services {
            let memory = self.state.memory(&service.id);
            memory.observe(now, &service.plan, &service.replicas);
            service.memory = memory.clone();
            let view = View {
                gateways: &reporters.gateways,
                servers: reporters.servers.get(&service.id).unwrap_or(&none),
                span: service.memory.hold_seconds(&service.plan, &service.replicas),
                objective: service.plan.objective,
            };
            service.signals = self.state.signals(now, &service.id, view);
            service.profiles = self.state.profiles(&service.id, &service.plan);
        }
    }

    /// Writes; what goes down goes first. Gives the services of which a write failed.
    async fn write(&mut self, all: Vec<Write>) -> BTreeSet<ServiceId> {
        let mut failed = BTreeSet::new();
        let (up, rest): (Vec<Write>, Vec<Write>) =
            all.into_iter().partition(|write| write.direction == Ordering::Greater);
        for batch in [rest, up] {
            let client = &self.context.client;
            let calls = batch.into_iter().map(|write| async move { (apply(client, &write).await, write) });
            let mut results = futures::stream::iter(calls).buffer_unordered(WRITES_AT_ONCE);
            while let Some((result, write)) = results.next().await {
                match result {
                    Ok(version) => self.written.note(&write, version),
                    Err(error) => {
                        tracing::warn!(service = %write.service, deployment = write.name, replicas = write.replicas, "can't scale: {error:#}");
                        failed.insert(write.service);
                    }
                }
            }
        }
        failed
    }

    /// Remembers what was done, and tells the controller what is news.
    fn tell(&mut self, now: f64, fleet: &Fleet, decisions: &[Decision], failed: &BTreeSet<ServiceId>) {
        let at = jiff::Timestamp::from_millisecond((now * 1e3) as i64).unwrap_or_default().to_string();
        for (service, decision) in fleet.services.iter().zip(decisions) {
            if failed.contains(&service.id) {
                continue;
            }
            if let Outcome::To { reason, .. } = &decision.outcome {
                tracing::info!(service = %service.id, "scaled: {reason}");
            }
            self.state.memory(&service.id).record(now, &service.replicas, decision);
            let state = ScaleState {
                desired: desired(service, decision),
                reason: decision.outcome.reason().to_owned(),
                at: at.clone(),
                metrics_fresh: decision.metrics_fresh,
                cause: decision.cause,
            };
            if self.context.view.put(&service.id, state) {
                (self.context.notify)(&service.id);
            }
        }
        let kept: BTreeSet<&ServiceId> = fleet.services.iter().map(|service| &service.id).collect();
        self.context.view.retain(|service| kept.contains(service));
    }
}

fn desired(service: &millrace_scaler::Service, decision: &Decision) -> u32 {
    let numbers = service.replicas.iter().map(|(slot, count)| match &decision.outcome {
        Outcome::To { replicas, .. } => *replicas.get(slot).unwrap_or(&count.desired),
        Outcome::Hold { .. } => count.desired,
    });
    numbers.fold(0, u32::saturating_add)
}

fn clock() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
