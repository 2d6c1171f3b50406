//! Figures: of one run, and the median of several with how far they spread.

use crate::process::{Usage, cores};
use millrace_bench::{latency::Summary, median::median};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// What was used until then.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// By the server.
    pub server: Usage,
    /// By the generator, of processor time.
    pub generator: Duration,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Requests a second.
    pub per_second: f64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile in microseconds.
    pub p99_us: f64,
    /// Processor time of the server for each request, in microseconds.
    pub cpu_us: f64,
    /// Processor time of the generator, as a share of all cores: no server can have it.
    pub generator_share: f64,
    /// Memory of the server at the end, in MiB.
    pub resident_mib: f64,
    /// What it grew by while it was measured, in MiB.
    pub grown_mib: f64,
    /// Runs of its engine by rows, where the server tells them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub batches: BTreeMap<usize, u64>,
}

impl Figures {
    /// From what the generator saw, and what the server used at both edges.
    pub fn of(summary: &Summary, [before, after]: [Edge; 2], batches: BTreeMap<usize, u64>) -> Self {
        let mib = |kib: u64| kib as f64 / 1_024.0;
        let cores = cores() as f64;
        let generator = after.generator.saturating_sub(before.generator).as_secs_f64();
        let (before, after) = (before.server, after.server);
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        Self {
            per_second: summary.answered as f64 / summary.seconds,
            p50_us: summary.p50_ms * 1e3,
            p99_us: summary.p99_ms * 1e3,
            cpu_us: cpu * 1e6 / (summary.answered as f64).max(1.0),
            generator_share: generator / (summary.seconds * cores),
            resident_mib: mib(after.resident_kib),
            grown_mib: mib(after.resident_kib) - mib(before.resident_kib),
            batches,
        }
    }

    /// The median of each figure; batches are those of all runs.
    pub fn median(runs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(runs.iter().map(figure).collect());
        Self {
            per_second: of(|run| run.per_second),
            p50_us: of(|run| run.p50_us),
            p99_us: of(|run| run.p99_us),
            cpu_us: of(|run| run.cpu_us),
            generator_share: of(|run| run.generator_share),
            resident_mib: of(|run| run.resident_mib),
            grown_mib: of(|run| run.grown_mib),
            batches: runs.iter().flat_map(|run| &run.batches).fold(BTreeMap::new(), |mut all, (rows, runs)| {
                *all.entry(*rows).or_default() += runs;
                all
            }),
        }
    }
}
