//! One variant, measured in a process of its own: its answers, latency, throughput and memory.

use super::{
    data::{Body, Item},
    said::Said,
};
use crate::{
    config::{self, EvaluateOptions},
    engine::ort::load_library,
    error::{Error, Kind, StartError},
    load,
    metrics::Totals,
    model,
    pipeline::{Value, scores},
    process,
    replica::Replica,
};
use millrace_crds::{conditions::reason, manifest::Manifest, report::EngineBuild};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// What was measured of a variant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// Digest of what was measured.
    pub sha256: String,
    /// Size of the ONNX file.
    pub file_bytes: u64,
    /// Resident memory that it added, once it had run; `None`: the system doesn't tell.
    pub memory_bytes: Option<u64>,
    /// One request at a time.
    pub latency: Latency,
    /// Many at once.
    pub throughput: Throughput,
    /// What it answers to each input.
    pub answers: Vec<Said>,
}

/// Seconds from input to answer, one request at a time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 99 of 100 are within this.
    pub p99: f64,
    /// Requests.
    pub count: usize,
}

/// Answers a second, at the number of requests at once that gave most.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Throughput {
    /// Answers a second.
    pub per_second: f64,
    /// Requests at once.
    pub at_once: usize,
    /// Rows of an engine run in the mean.
    pub batch: f64,
}

/// Loads one variant as `serve` does, and measures it. `variant` is `None` for the model itself.
///
/// # Errors
/// It can't be served, or an input can't be answered.
pub async fn measure(
    manifest: Manifest,
    variant: Option<&str>,
    items: Arc<[Item]>,
    options: &EvaluateOptions,
) -> Result<Measured, StartError> {
    let fetched = Arc::new(model::obtain(&manifest, &options.model, variant).await?);
    // The engine's own library isn't the model's memory.
    load_library(&config::ort_library(&options.model))?;
    let before = resident();
    let file_bytes = std::fs::metadata(&fetched.path).map_or(0, |file| file.len());
    let queue = usize::try_from(manifest.spec.batching.max_queue).unwrap_or(usize::MAX);
    let (replica, _threads) = load::start(manifest, Arc::clone(&fetched), &options.model, Duration::ZERO).await?;
    settled(&replica).await?;
    let half = Duration::from_secs(options.seconds.into()) / 2;
    // The first answer isn't timed: it fills caches that the others find full.
    ask(&replica, &items[0]).await.map_err(|error| refused(&items[0], &error))?;
    let (answers, latency) = one_by_one(&replica, &items, half).await?;
    let throughput = best(&replica, &items, half, queue).await?;
    let memory_bytes = resident().zip(before).map(|(now, before)| now.saturating_sub(before));
    replica.stop();
    Ok(Measured { sha256: fetched.digest.clone(), file_bytes, memory_bytes, latency, throughput, answers })
}

/// How often it is looked whether a build has ended.
const LOOK: Duration = Duration::from_millis(200);

/// Waits for the engines that are to serve, where others serve while they are built.
async fn settled(replica: &Replica) -> Result<(), StartError> {
    while let Some(build) = replica.report().engine_build {
        match build {
            EngineBuild::Building => tokio::time::sleep(LOOK).await,
            EngineBuild::Built => break,
            EngineBuild::Failed => {
                return Err(StartError::new(
                    reason::PROVIDER_UNAVAILABLE,
                    "the engine that was asked for can't be built",
                ));
            }
        }
    }
    Ok(())
}

/// An input that isn't answered, by its name.
pub fn refused(item: &Item, error: &impl std::fmt::Display) -> StartError {
    StartError::new(reason::INVALID, format!("--data: {}: {error}", item.name))
}

/// The service's answer to an input.
///
/// # Errors
/// As any caller would get.
pub async fn ask(replica: &Arc<Replica>, item: &Item) -> Result<Value, Error> {
    let deadline = replica.deadline(Instant::now(), None);
    match &item.body {
        Body::Raw(raw) => {
            let permit = replica.door.admit()?;
            let (processed, _permit) = process::process(replica, raw.clone(), deadline, permit).await?;
            Ok(processed.value)
        }
        Body::Tensors(request) => {
            let (outputs, _) = replica.infer_once(request.clone(), deadline, replica.facts.limits.json_depth).await?;
            let numbers = outputs.first().and_then(|output| scores::floats(&output.data));
            numbers.map(Value::Vector).ok_or_else(|| {
                Error::new(Kind::Unsupported, "the model's first output holds no numbers: they can't be compared")
            })
        }
    }
}

/// Each input once, and again until the time is over.
async fn one_by_one(
    replica: &Arc<Replica>,
    items: &[Item],
    span: Duration,
) -> Result<(Vec<Said>, Latency), StartError> {
    let begun = Instant::now();
    let (mut answers, mut times) = (Vec::with_capacity(items.len()), Vec::new());
    for item in items.iter().cycle() {
        if answers.len() == items.len() && begun.elapsed() >= span {
            break;
        }
        let asked = Instant::now();
        let value = ask(replica, item).await.map_err(|error| refused(item, &error))?;
        times.push(asked.elapsed());
        if answers.len() < items.len() {
            let said =
                Said::of(value).map_err(|error| refused(item, &format!("the answer can't be compared: {error}")))?;
            if !said.is_finite() {
                return Err(refused(item, &"the model answers numbers that aren't finite"));
            }
            answers.push(said);
        }
    }
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64();
    Ok((answers, Latency { p50: at(50), p99: at(99), count: times.len() }))
}

/// The most answers a second, of 1, 2, 4 and so on requests at once, up to two batches of the largest size.
async fn best(
    replica: &Arc<Replica>,
    items: &Arc<[Item]>,
    span: Duration,
    queue: usize,
) -> Result<Throughput, StartError> {
    let most = (2 * replica.facts.max_rows).min(queue).max(1);
    let levels: Vec<usize> =
        std::iter::successors(Some(1), |level| Some(level * 2)).take_while(|level| *level <= most).collect();
    let share = span / u32::try_from(levels.len()).unwrap_or(1);
    let mut best = Throughput::default();
    for at_once in levels {
        let before = replica.metrics.totals();
        let per_second = at_a_time(replica, items, share, at_once).await?;
        if per_second > best.per_second {
            best = Throughput { per_second, at_once, batch: mean_batch(&before, &replica.metrics.totals()) };
        }
    }
    Ok(best)
}

/// Answers a second with so many callers, each of whom asks again once it is answered.
async fn at_a_time(
    replica: &Arc<Replica>,
    items: &Arc<[Item]>,
    span: Duration,
    at_once: usize,
) -> Result<f64, StartError> {
    let begun = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..at_once {
        let (replica, items, next) = (Arc::clone(replica), Arc::clone(items), Arc::clone(&next));
        callers.spawn(async move {
            let mut answered = 0u32;
            while begun.elapsed() < span {
                let item = &items[next.fetch_add(1, Ordering::Relaxed) % items.len()];
                ask(&replica, item).await.map_err(|error| refused(item, &error))?;
                answered += 1;
            }
            Ok::<_, StartError>(answered)
        });
    }
    let mut answered = 0;
    while let Some(done) = callers.join_next().await {
        answered += done.map_err(|error| StartError::new(reason::INVALID, error.to_string()))??;
    }
    Ok(f64::from(answered) / begun.elapsed().as_secs_f64())
}

/// Rows of an engine run in the mean, of the runs between two looks. Counts are far below where doubles have gaps.
#[allow(clippy::cast_precision_loss)]
fn mean_batch(before: &Totals, after: &Totals) -> f64 {
    let sums = |totals: &Totals| {
        let rows: u64 = totals.batches.iter().map(|(&rows, span)| rows as u64 * span.count).sum();
        (rows, totals.batches.values().map(|span| span.count).sum::<u64>())
    };
    let ((rows, runs), (more_rows, more_runs)) = (sums(before), sums(after));
    (more_rows - rows) as f64 / (more_runs - runs).max(1) as f64
}

/// Resident memory of this process, as Linux tells it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}
