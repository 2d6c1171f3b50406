//! Whether a pool's standby servers can stand in for a service, and what they are told then; pure.
//!
//! What isn't known to be the same as with a replica of the service's own isn't done: it starts cold, and its status says why.

use super::objects::{DRAIN, image};
use crate::build::template::MARGIN;
use crate::config::Settings;
use crate::plan::tenancy::{below, list};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use millrace_crds::assignment::Assignment;
use millrace_crds::manifest::Manifest;
use millrace_crds::store::Store;
use millrace_crds::{AcceleratorPool, Model, Quantity, StandbyResources, labels};

/// What a revision on a pool asks of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What a server is told.
    pub assignment: Assignment,
    /// The same, read.
    pub manifest: Manifest,
    /// Stores that the model is read from.
    pub stores: Vec<Store>,
    /// The image that the revision runs.
    pub image: String,
    /// The variant that the pool's replicas serve.
    pub variant: Option<String>,
    /// Seconds from the word to end to the end.
    pub grace: i64,
}

/// What the replicas of a Deployment are told, by the ConfigMap of their revision.
///
/// # Errors
/// Why it can't be read, as after a change of release.
pub fn asked(deployment: &Deployment, map: &ConfigMap) -> Result<Asked, String> {
    let text = |key: &str| map.data.as_ref().and_then(|data| data.get(key)).cloned().ok_or(format!("it has no {key}"));
    let assignment = Assignment { manifest: text("manifest.yaml")?, stores: text("stores.yaml")? };
    let pod = deployment.spec.template.spec.as_ref();
    Ok(Asked {
        manifest: Manifest::from_yaml(&assignment.manifest)?,
        stores: serde_saphyr::from_str(&assignment.stores).map_err(|error| error.to_string())?,
        image: pod.and_then(|pod| pod.containers.first()?.image.clone()).unwrap_or_default(),
        variant: deployment.labels().get(labels::VARIANT).cloned(),
        grace: pod.and_then(|pod| pod.termination_grace_period_seconds).unwrap_or(30),
        assignment,
    })
}

/// Why the pool's standby servers can't stand in; `None`: they can.
#[must_use]
pub fn obstacle(asked: &Asked, pool: &AcceleratorPool, settings: &Settings) -> Option<String> {
    let spec = &asked.manifest.spec;
    let Some(model) = &spec.model else { return Some("it is a graph of models; a standby serves one".to_owned()) };
    if model.uri.as_str().starts_with("pvc://") {
        return Some("its model is on a volume of its namespace".to_owned());
    }
    if spec.runtime.engine_cache.as_ref().is_some_and(|cache| cache.claim_name.is_some()) {
        return Some("its built engines are on a volume of its namespace".to_owned());
    }
    if let Some(variant) = &asked.variant {
        return Some(format!("it serves the variant {variant} here; a standby serves the model itself"));
    }
    if spec.runtime.resources.accelerators != 1 && pool.spec.resource.name.is_some() {
        return Some(format!("a replica has {} accelerators, a standby has one", spec.runtime.resources.accelerators));
    }
    out_of_reach(model, pool)
        .or_else(|| moved(&asked.stores, settings))
        .or_else(|| too_much(asked, &pool.spec.standby.resources))
        .or_else(|| other_image(asked, pool, settings))
}

/// A standby reads with the pool's identity and never with a tenant's keys. What is read with keys must be pinned: then it is
/// the very bytes that the service's own keys have opened before, for only proven revisions get a standby.
fn out_of_reach(model: &Model, pool: &AcceleratorPool) -> Option<String> {
    let credentials = model.credentials.as_ref()?;
    let Some(identity) = &pool.spec.standby.identity else {
        let secret = &credentials.secret_name;
        return Some(format!(
            "its model is read with the Secret {secret}, and the pool's standbys have no identity of their own"
        ));
    };
    if !identity.sources.iter().any(|source| below(source.as_str(), model.uri.as_str())) {
        return Some(format!("{} is below none of the standbys' sources: {}", model.uri, list(&identity.sources)));
    }
    let pinned = model.sha256.is_some() || !model.files.is_empty();
    (!pinned)
        .then(|| "its model has no sha256: without it, the pool's keys might open what the tenant's don't".to_owned())
}

/// The standbys' network policies are of the stores as they are now.
fn moved(stores: &[Store], settings: &Settings) -> Option<String> {
    let other = stores.iter().find(|store| !settings.stores.contains(store))?;
    Some(format!("the store {}://{} isn't the one that its revision was made with", other.scheme, other.name))
}

fn too_much(asked: &Asked, has: &StandbyResources) -> Option<String> {
    let resources = &asked.manifest.spec.runtime.resources;
    let default = StandbyResources::default();
    let over = |what: &str, wanted: &Quantity, has: &Quantity| {
        let fits = matches!((wanted.to_f64(), has.to_f64()), (Some(wanted), Some(has)) if wanted <= has);
        (!fits).then(|| format!("it asks for {wanted} of {what}, a standby has {has}"))
    };
    over("memory", resources.memory.as_ref().unwrap_or(&default.memory), &has.memory)
        .or_else(|| over("cpu", resources.cpu.as_ref().unwrap_or(&default.cpu), &has.cpu))
        .or_else(|| {
            let drain = asked.grace - MARGIN;
            (drain > DRAIN).then(|| format!("its drain may take {drain} s, a standby has {DRAIN} s"))
        })
}

/// The image for GPUs holds all that the other one of the release does.
fn other_image(asked: &Asked, pool: &AcceleratorPool, settings: &Settings) -> Option<String> {
    let standby = image(pool, settings);
    let same = asked.image == standby || (asked.image == settings.image && standby == settings.gpu_image);
    (!same).then(|| {
        format!("its revision runs {}, the standbys {standby}: a new revision runs the release's", asked.image)
    })
}
