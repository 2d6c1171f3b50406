//! The leader's loop: hear, decide, write, tell.

use super::builds::Builds;
use super::checkpoint::Checkpoints;
use super::fleet::{Deployed, Seen, draw};
use super::pods::{self, Stage};
use super::record::Recorder;
use super::scrape::{Heard, Pollers, Target};
use super::starts::Starts;
use super::view::ScaleState;
use super::write::{Write, Written, apply, writes};
use super::{ScaleContext, convert};
use crate::standby::{Lender, Reach};
use anyhow::Result;
use futures::StreamExt;
use futures::future::OptionFuture;
use millrace_crds::report::LATENCY_BOUNDS;
use millrace_scaler::{
    Accelerator, Decision, Fleet, Outcome, Rehearsal, Rehearsed, Replica, Reporter, ServiceId, State, decide,
};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

const TICK: Duration = Duration::from_secs(1);
/// Least time between two decisions, however many requests are newly held.
const LEAST_TICK: Duration = Duration::from_millis(50);
const WRITES_AT_ONCE: usize = 8;
/// Turns in which all services rehearse, where all are due at once.
const REHEARSALS: usize = 240;

/// Scales the fleet until it is dropped: the leader alone may run it.
///
/// # Errors
/// None that ends it: what fails is logged, and tried again a tick later.
pub async fn run(context: ScaleContext) -> Result<()> {
    let (sender, mut heard) = mpsc::channel(256);
    let mut checkpoints = Checkpoints::new(&context.client, &context.settings.namespace, &context.settings.release);
    let mut state = State::new(&LATENCY_BOUNDS);
    let known = checkpoints.read().await;
    tracing::info!(services = known.services.len(), "scaling goes on from what the last leader knew");
    let restored = known.services.iter().map(|remembered| remembered.service.clone()).collect();
    state.restore(clock(), known);
    let mut scaling = Scaling {
        recorder: context.record.as_deref().map(Recorder::start).transpose()?,
        checkpoints,
        pollers: Pollers::new(context.identity.clone(), sender),
        state,
        written: Written::default(),
        starts: Starts::default(),
        hurried: None,
        restored,
        amended: BTreeSet::new(),
        since: clock(),
        rehearsing: None,
        builds: Builds::default(),
        lender: Lender::new(
            Reach::new(context.client.clone(), &context.settings.namespace, context.identity.clone()),
            &context.settings,
            context.stores.lending.clone(),
            context.recorder.clone(),
            context.metrics.clone(),
        ),
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
                // A request waits for a replica, or a load surges: decide now, not at the next tick.
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
    starts: Starts,
    /// When a gateway first asked for a decision that hasn't been made yet.
    hurried: Option<Instant>,
    checkpoints: Checkpoints,
    recorder: Option<Recorder>,
    /// Services that a predecessor told of, and those whose memory was brought up to date with its last writes.
    restored: BTreeSet<ServiceId>,
    amended: BTreeSet<ServiceId>,
    /// When this leader began.
    since: f64,
    rehearsing: Option<JoinHandle<Vec<Rehearsed>>>,
    builds: Builds,
    lender: Lender,
}

/// What a pass wanted and didn't get.
struct Undone {
    /// Services of which a write failed.
    failed: BTreeSet<ServiceId>,
    /// Why services start cold.
    cold: BTreeMap<ServiceId, String>,
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
    /// Takes a report in; whether it is urgent.
    fn hear(&mut self, report: Heard) -> bool {
        let now = clock();
        match report {
            Heard::Gateway(gateway, report) => {
                self.state.hear_gateway(now, &gateway, &convert::gateway(&report));
                self.starts.hear_gateway(&report);
                let urgent = report.urgent || report.services.iter().any(|service| service.held > 0);
                if urgent {
                    self.hurried.get_or_insert_with(Instant::now);
                }
                urgent
            }
            Heard::Server(replica, report) => {
                self.state.hear_server(now, &replica, &convert::server(&report));
                self.starts.hear_server(&replica.pod, &report);
                self.builds.hear(&replica, report.engine_build);
                false
            }
        }
    }

    async fn tick(&mut self) {
        let now = clock();
        let seen = self.see(now);
        let mut fleet = draw(&seen);
        let reporters = self.reporters(&seen, &fleet);
        self.amend(now, &seen);
        self.note_starts(now, &seen);
        self.inform(now, &mut fleet, &reporters);
        self.pollers.follow(reporters.targets);
        let decisions = decide(now, &fleet);
        if let Some(recorder) = &mut self.recorder {
            recorder.write(now, &fleet, &decisions);
        }
        // Before the writes, for somebody waits; should one fail, the next pass asks for the replica again.
        let cold = self.lender.step(now, &seen.standbys, &fleet, &decisions);
        let writes = writes(&seen.deployments, &decisions);
        let (hurried, raises) = (self.hurried.take(), writes.iter().any(|write| write.direction == Ordering::Greater));
        let failed = self.write(writes).await;
        if let Some(hurried) = hurried.filter(|_| raises) {
            self.context.metrics.hurried(hurried.elapsed());
        }
        self.tell(now, &fleet, &decisions, &Undone { failed, cold });
        self.rehearse(now).await;
        self.checkpoints.keep(now, &self.state).await;
    }

    fn see(&mut self, now: f64) -> Seen {
        let stores = &self.context.stores;
        let mut deployments: Vec<Deployed> =
            stores.lending.deployments.state().iter().filter_map(|deployment| Deployed::of(deployment)).collect();
        self.written.overlay(&mut deployments);
        Seen {
            plans: self.context.plans.snapshot(),
            tenant_of: self.context.plans.tenants(),
            deployments,
            pods: stores.pods.state(),
            standbys: self.lender.see(now),
            nodes: stores.nodes.state(),
            pools: stores.lending.pools.state(),
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
        for standby in seen.standbys.iter().filter(|standby| standby.serves()) {
            let (Some((service, slot)), Some(pool)) = (standby.loan(), fleet.pools.get(&standby.pool)) else {
                continue;
            };
            let (pod, accelerator) = (Reporter::from(standby.uid.as_str()), pool.accelerator.clone());
            reporters.servers.entry(service.clone()).or_default().insert(pod.clone());
            let replica = Replica { pod, service: service.clone(), revision: slot.revision.clone(), accelerator };
            reporters.targets.extend(standby.address.map(|address| (Target::Server(replica), address)));
        }
        let servers: BTreeSet<Reporter> = reporters.servers.values().flatten().cloned().collect();
        self.builds.retain(&servers);
        self.state.retain(&reporters.gateways, &servers, &seen.plans.keys().cloned().collect());
        reporters
    }

    /// Lets experts replay the past of services whose turn it is, on a thread that decisions don't wait for.
    async fn rehearse(&mut self, now: f64) {
        if self.rehearsing.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        if let Some(Ok(rehearsed)) = OptionFuture::from(self.rehearsing.take()).await {
            rehearsed.into_iter().for_each(|one| self.state.learn(one));
        }
        // All have their turn in a few minutes, and none of these turns is long.
        let due = self.state.due(now, self.state.remembered().div_ceil(REHEARSALS));
        if !due.is_empty() {
            let run = || due.into_iter().map(Rehearsal::run).collect();
            self.rehearsing = Some(tokio::task::spawn_blocking(run));
        }
    }

    /// A predecessor's last writes may be younger than its checkpoint: the cluster tells of them, once for each service.
    fn amend(&mut self, now: f64, seen: &Seen) {
        self.amended.retain(|service| seen.plans.contains_key(service));
        for service in seen.plans.keys().filter(|service| !self.amended.contains(*service)).cloned().collect::<Vec<_>>()
        {
            let own = || seen.deployments.iter().filter(|deployed| deployed.service == service);
            let written = own().filter_map(|deployed| deployed.written).reduce(f64::max);
            // What we have planned and written ourselves, we remember.
            if let Some(written) = written.filter(|written| *written < self.since || self.restored.contains(&service)) {
                self.state.memory(&service).amend(
                    now,
                    own().map(|deployed| u64::from(deployed.desired)).sum(),
                    written,
                );
            }
            self.amended.insert(service);
        }
    }

    /// Takes starts in whose times are known: the scaler's lead is theirs.
    fn note_starts(&mut self, now: f64, seen: &Seen) {
        for start in self.starts.measure(now, &seen.pods, |service| seen.plans.contains_key(service)) {
            self.state.memory(&start.service).note_start(&start.pool, start.seconds);
            let phases: Vec<_> = start.phases.iter().map(|(phase, seconds)| (phase.name(), *seconds)).collect();
            let service = (&*start.service.namespace, &*start.service.name);
            self.context.metrics.started(service, start.pool.as_str(), &phases);
            tracing::info!(service = %start.service, pool = %start.pool, ?phases, "a replica started");
        }
    }

    /// Adds what is remembered and heard to the fleet.
    fn inform(&mut self, now: f64, fleet: &mut Fleet, reporters: &Reporters) {
        let none = BTreeSet::new();
        for service in &mut fleet.services {
            let servers = reporters.servers.get(&service.id).unwrap_or(&none);
            self.state.inform(now, service, &reporters.gateways, servers);
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
    fn tell(&mut self, now: f64, fleet: &Fleet, decisions: &[Decision], Undone { failed, cold }: &Undone) {
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
                engines: self.builds.of(&service.id),
                cold: cold.get(&service.id).cloned(),
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
