//! Whether a spec can run here as it is written: the checks that need no pool.

use super::models::{ModelSource, models};
use super::tenancy::list;
use super::{Problem, support};
use crate::config::Settings;
use millrace_crds::conditions::{ACCEPTED, reason};
use millrace_crds::store::Store;
use millrace_crds::{Duration, InferenceServiceSpec, Model, ModelVariant, Uri, graph_order};

/// A uri in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location<'u> {
    /// Before `://`.
    pub scheme: &'u str,
    /// Up to the next slash.
    pub authority: &'u str,
    /// The rest.
    pub path: &'u str,
}

/// Takes a uri apart; `None` if it has no scheme or no authority.
#[must_use]
pub fn locate(uri: &str) -> Option<Location<'_>> {
    let (scheme, rest) = uri.split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    (!authority.is_empty()).then_some(Location { scheme, authority, path })
}

/// What is wrong with the spec in itself, and what this release can't enforce.
#[must_use]
pub fn unacceptable(spec: &InferenceServiceSpec, settings: &Settings) -> Vec<Problem> {
    let mut problems = contradictions(spec);
    let refused = support::unsupported(spec, support::SERVICE).refused;
    if !refused.is_empty() {
        problems.push(Problem::new(
            ACCEPTED,
            reason::NOT_SUPPORTED,
            format!("this release doesn't act on {}: remove what you don't need", list(&refused)),
        ));
    }
    let models = models(spec.model.as_ref(), &spec.models);
    problems.extend(models.iter().filter_map(|model| store_of(model.uri, settings).err()));
    problems.extend(unfit_together(&models));
    if let Some(model) = &spec.model {
        let misplaced = |variant| elsewhere(variant, model).or_else(|| store_of(variant.uri.as_str(), settings).err());
        problems.extend(model.variants.iter().filter_map(misplaced));
    }
    problems
}

/// A variant is read with the model's credentials, or from its volume: so it lies where the model does.
fn elsewhere(variant: &ModelVariant, model: &Model) -> Option<Problem> {
    let place = |uri: &Uri| locate(uri.as_str()).map(|place| format!("{}://{}", place.scheme, place.authority));
    let (own, wanted) = (place(&variant.uri), place(&model.uri)?);
    (own.as_ref() != Some(&wanted)).then(|| {
        let message = format!(
            "variant {}: {} isn't in the model's own store, {wanted}: put it there, for it is read with the model's credentials",
            variant.name, variant.uri
        );
        Problem::new(ACCEPTED, reason::INVALID, message)
    })
}

/// What several models can't have in one pod yet.
fn unfit_together(models: &[ModelSource<'_>]) -> Option<Problem> {
    let [first, others @ ..] = models else { return None };
    let not_yet = |message: String| Some(Problem::new(ACCEPTED, reason::NOT_SUPPORTED, message));
    if others.is_empty() {
        return None;
    }
    if let Some(model) = models.iter().find(|model| locate(model.uri).is_some_and(|place| place.scheme == "pvc")) {
        return not_yet(format!("{} is on a volume: several models are read from s3 and https alone", model.called()));
    }
    let other = others.iter().find(|model| model.credentials != first.credentials)?;
    not_yet(format!(
        "{} and {} have different credentials: models of one service have the same",
        first.called(),
        other.called()
    ))
}

/// The store that a uri names; `None` for a volume in the cluster.
///
/// # Errors
/// The uri is malformed, its scheme isn't supported, or the platform has no such store.
pub fn store_of(uri: &str, settings: &Settings) -> Result<Option<Store>, Problem> {
    let invalid = |message: String| Problem::new(ACCEPTED, reason::INVALID, message);
    let place = locate(uri).ok_or_else(|| invalid(format!("{uri} names no store: write SCHEME://STORE/PATH")))?;
    if place.path.trim_end_matches('/').is_empty()
        || place.path.split('/').any(|segment| segment == ".." || segment == ".")
    {
        return Err(invalid(format!("{uri} must name a file or folder, without . and .. in its path")));
    }
    match place.scheme {
        "pvc" => return Ok(None),
        "s3" | "https" => {}
        other => {
            let message = format!("models can't be read from {other}:// yet: use s3, https or pvc");
            return Err(Problem::new(ACCEPTED, reason::NOT_SUPPORTED, message));
        }
    }
    let known = || settings.stores.iter().filter(|store| store.scheme == place.scheme);
    let found = known().find(|store| store.name == place.authority).cloned();
    found.map(Some).ok_or_else(|| {
        let names: Vec<_> = known().map(|store| store.name.clone()).collect();
        let known =
            if names.is_empty() { "it has none of this scheme".to_owned() } else { format!("it has {}", list(names)) };
        let message = format!(
            "the platform has no {} store {}: {known}; stores are a value of the release",
            place.scheme, place.authority
        );
        Problem::new(ACCEPTED, reason::UNKNOWN_STORE, message)
    })
}

/// What the schema's rules also refuse; checked again, for an object may be older than its rule.
fn contradictions(spec: &InferenceServiceSpec) -> Vec<Problem> {
    let scaling = &spec.scaling;
    let mut messages = Vec::new();
    if scaling.min_replicas > scaling.max_replicas {
        messages.push(format!(
            "scaling.maxReplicas {} is below minReplicas {}",
            scaling.max_replicas, scaling.min_replicas
        ));
    }
    if spec.model.is_some() != spec.models.is_empty() {
        messages.push("give model (one) or models (several)".to_owned());
    }
    if spec.models.is_empty() != spec.pipeline.steps.is_empty() {
        messages.push("models and pipeline.steps go together".to_owned());
    } else if !spec.models.is_empty() {
        messages.extend(graph_order(&spec.pipeline.steps).err().map(|error| format!("pipeline.steps: {error}")));
    }
    let mut spans: Vec<(&str, &Duration)> = vec![
        ("scaling.idleAfter", &scaling.idle_after),
        ("batching.maxDelay", &spec.batching.max_delay),
        ("access.timeout", &spec.access.timeout),
        ("availability.drain", &spec.availability.drain),
    ];
    spans.extend(spec.slo.as_ref().map(|slo| ("slo.latency.target", &slo.latency.target)));
    messages.extend(
        spans
            .iter()
            .filter(|(_, span)| span.to_std().is_none())
            .map(|(name, span)| format!("{name} {span} is no span of time")),
    );
    messages.into_iter().map(|message| Problem::new(ACCEPTED, reason::INVALID, message)).collect()
}
