//! From a manifest to a replica that is ready: what it asks for is fetched, checked, loaded and run once.

use crate::{
    admit::Admission,
    config::{self, ModelOptions, ServeOptions},
    engine::ort::provide::Provided,
    error::StartError,
    graph::{self, build::Loaded},
    http::models::PLATFORM,
    metrics::Metrics,
    model::{self, Fetched},
    node::{Asked, Node},
    pipeline::{Pipeline, Target},
    protocol::tensor::Signature,
    queue::Bounds,
    replica::{Facts, Replica, Served},
    unit::Unit,
    warm_up::WarmUp,
    worker::WorkOptions,
};
use millrace_crds::{AuditPayloads, NamedModel, conditions::reason, manifest::Manifest, report::StartupReport};
use millrace_hop::limits::Limits;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

fn invalid(message: impl Into<String>) -> StartError {
    StartError::new(reason::INVALID, message)
}

/// Fields that promise protection and aren't enforced here: to serve without them would break the promise in silence.
fn refuse_promises(manifest: &Manifest) -> Result<(), StartError> {
    let spec = &manifest.spec;
    let model = spec.model.as_ref();
    for (asked, field) in [
        (model.is_some_and(|model| model.signature.is_some()), "model.signature"),
        (spec.audit.as_ref().is_some_and(|audit| audit.payloads != AuditPayloads::None), "audit"),
        (spec.state.is_some(), "state"),
        (spec.explain.is_some(), "explain"),
    ] {
        if asked {
            return Err(StartError::new(
                reason::NOT_SUPPORTED,
                format!("{field} is not supported yet: the server would not keep what it promises"),
            ));
        }
    }
    Ok(())
}

/// Engine threads, to be joined once they have ended.
pub type Threads = Vec<std::thread::JoinHandle<()>>;

/// Gets, checks and loads the models of a manifest, up to a replica that is ready, and its engine threads.
///
/// # Errors
/// Why they can't be served.
pub async fn load(options: &ServeOptions) -> Result<(Arc<Replica>, Threads), StartError> {
    let manifest = read(&options.model)?;
    refuse_promises(&manifest)?;
    let begun = Instant::now();
    if !manifest.spec.models.is_empty() {
        let fetched = model::obtain_each(&manifest.spec.models, &options.model).await?;
        return start_graph(manifest, fetched, &options.model, begun.elapsed()).await;
    }
    if let (Some(model), Some(name)) = (&manifest.spec.model, &options.variant) {
        model::variant::keeps_quality(model, name)?;
    }
    let fetched = Arc::new(model::obtain(&manifest, &options.model, options.variant.as_deref()).await?);
    start(manifest, fetched, &options.model, begun.elapsed()).await
}

/// Reads a manifest.
///
/// # Errors
/// It can't be read, or names both one model and several, or neither.
pub fn read(options: &ModelOptions) -> Result<Manifest, StartError> {
    let text = std::fs::read_to_string(&options.manifest)
        .map_err(|error| invalid(format!("the manifest can't be read: {error}")))?;
    let manifest = Manifest::from_yaml(&text).map_err(invalid)?;
    let several = !manifest.spec.models.is_empty();
    if several == manifest.spec.pipeline.steps.is_empty() || several == manifest.spec.model.is_some() {
        return Err(invalid("give model (one), or models (several) and pipeline.steps"));
    }
    Ok(manifest)
}

/// Loads a model that is here, up to a replica that is ready.
///
/// # Errors
/// Why it can't be served.
pub async fn start(
    manifest: Manifest,
    fetched: Arc<Fetched>,
    options: &ModelOptions,
    fetch: Duration,
) -> Result<(Arc<Replica>, Threads), StartError> {
    apart(options, move |node, begun| {
        let provided = node.engines(Asked::alone(&manifest), &fetched)?;
        build(&manifest, provided, &fetched, [fetch, begun.elapsed()])
    })
    .await
}

/// Loads several models that are here, up to a replica that is ready.
async fn start_graph(
    manifest: Manifest,
    fetched: Vec<Fetched>,
    options: &ModelOptions,
    fetch: Duration,
) -> Result<(Arc<Replica>, Threads), StartError> {
    apart(options, move |node, begun| {
        let load = |(model, fetched): (&NamedModel, Fetched)| {
            let (name, fetched) = (model.name.to_string(), Arc::new(fetched));
            match node.engines(Asked::of(&manifest, model), &fetched) {
                Ok(provided) => Ok(Loaded { name, provided, fetched }),
                Err(error) => Err(StartError { message: format!("model {name}: {}", error.message), ..error }),
            }
        };
        let models = manifest.spec.models.iter().zip(fetched).map(load).collect::<Result<Vec<_>, _>>()?;
        graph::build::build(&manifest, models, [fetch, begun.elapsed()])
    })
    .await
}

/// Loads on a thread that may be busy for long; `load` is given what is there to load with, and when it began.
async fn apart<T: Send + 'static>(
    options: &ModelOptions,
    load: impl FnOnce(&Node, Instant) -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    let engines = options.cache_dir.as_ref().map(|folder| folder.join("engines"));
    let node = Node { library: config::ort_library(options), engines };
    let loaded = tokio::task::spawn_blocking(move || load(&node, Instant::now())).await;
    loaded.map_err(|_| StartError::new(reason::MODEL_INVALID, "loading the model broke off"))?
}

/// A batch hangs if it takes so long, and far longer than any run before it.
pub const HANG: Duration = Duration::from_secs(120);

/// Puts a replica together from its engines, and runs it once on each bucket before it is ready.
///
/// # Errors
/// The pipeline doesn't fit the model, or the model fails on zeros.
pub fn build(
    manifest: &Manifest,
    provided: impl Into<Provided>,
    fetched: &model::Fetched,
    [fetch, load]: [Duration; 2],
) -> Result<(Arc<Replica>, Threads), StartError> {
    let provided = provided.into();
    let (model, engines) = (Asked::alone(manifest), &provided.engines);
    let first = engines.first().ok_or_else(|| invalid("runtime.instances is 0"))?;
    let (signature, metadata) = (first.signature().clone(), first.metadata());
    let max_rows = model.max_rows(&signature);
    let few_lengths = model.few_lengths();
    let target = Target { signature: &signature, max_rows, few_lengths, files: &fetched.files, metadata: &metadata };
    let pipeline = Pipeline::compile(&manifest.spec.pipeline, &target)?;
    let metrics = Arc::new(Metrics::new(&manifest.metadata.name, &fetched.digest));
    let bounds = bounds(manifest, max_rows)?;
    let running = engines.len() * max_rows;
    let door = Admission::new((bounds.entries + running) as u64, bounds.bytes as u64);
    let warm_up = WarmUp::of(&pipeline, &signature, model.buckets(max_rows));
    let begun = Instant::now();
    let work = WorkOptions { bounds, warm_up, inline: !few_lengths, processor: !few_lengths, hang: HANG };
    let (unit, threads) = Unit::start(signature.clone(), provided, work, metrics.runs())?;
    let warm_up = begun.elapsed();
    metrics.loaded(fetch + load + warm_up);
    let facts = facts(manifest, signature, max_rows, [fetch, load, warm_up])?;
    Ok((Arc::new(Replica::new(facts, Served::Model(Arc::new(pipeline)), vec![unit], door, metrics)), threads))
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn span(text: &millrace_crds::Duration) -> Result<Duration, StartError> {
    text.to_std().ok_or_else(|| invalid(format!("{text} is no duration")))
}

/// Bounds of the queue, and of the bytes of all requests together.
///
/// # Errors
/// A duration that isn't one.
pub fn bounds(manifest: &Manifest, rows: usize) -> Result<Bounds, StartError> {
    let batching = &manifest.spec.batching;
    let max_bytes = usize::try_from(manifest.spec.access.max_request_bytes).unwrap_or(usize::MAX);
    let bytes = max_bytes.saturating_mul(2).max(128 << 20);
    Ok(Bounds { entries: size(batching.max_queue), bytes, rows, delay: span(&batching.max_delay)? })
}

/// Fixed facts of what a manifest asks for.
///
/// # Errors
/// A duration that isn't one.
pub fn facts(
    manifest: &Manifest,
    signature: Signature,
    max_rows: usize,
    [fetch, load, warm_up]: [Duration; 3],
) -> Result<Facts, StartError> {
    let (metadata, access) = (&manifest.metadata, &manifest.spec.access);
    Ok(Facts {
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        revision: metadata.revision.clone().unwrap_or_default(),
        version: metadata.version.unwrap_or(1).to_string(),
        platform: PLATFORM,
        signature,
        max_rows,
        limits: Limits { bytes: access.max_request_bytes, json_depth: access.max_json_depth },
        timeout: span(&access.timeout)?,
        priority: access.priority,
        startup: StartupReport { fetch: fetch.as_secs_f64(), load: load.as_secs_f64(), warm_up: warm_up.as_secs_f64() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_promises_and_is_not_kept_is_refused() {
        let check = |text: &str| {
            refuse_promises(&Manifest::from_yaml(text).unwrap()).map_err(|error| (error.reason, error.message))
        };
        let magika = include_str!("../../examples/anonymous.yaml");
        for (text, field) in [
            (include_str!("../../examples/signed-model.yaml"), "model.signature"),
            (include_str!("../../examples/audit.yaml"), "audit"),
            (include_str!("../../examples/explain.yaml"), "explain"),
        ] {
            let (reason, message) = check(text).unwrap_err();
            assert_eq!(reason, reason::NOT_SUPPORTED, "{field}");
            assert!(message.starts_with(&format!("{field} is not supported")), "{message}");
        }
        assert_eq!(check(magika), Ok(()));
    }
}
