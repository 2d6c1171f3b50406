//! The pod template of a revision, without what a pool adds. Rendered once in the life of the revision.

use super::{common, config_map};
use crate::config::Settings;
use crate::naming;
use crate::plan::models::{ModelSource, models};
use crate::plan::{Plan, accept};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, HTTPGetAction,
    PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements,
    SeccompProfile, SecretVolumeSource, SecurityContext, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use millrace_crds::{Credentials, ExecutionProvider, Name, Spread, labels};
use std::collections::BTreeMap;

/// User and group of the image.
const USER: i64 = 65532;
/// Where servers answer the gateway.
pub const DATA_PORT: i32 = 8443;
/// Where servers answer the kubelet.
pub const HEALTH_PORT: i32 = 8081;
/// Where a server leaves the reason of its end.
pub(crate) const TERMINATION_MESSAGE: &str = "/dev/termination-log";
/// Seconds beyond the drain: readiness off, its propagation, the end of the process.
pub(crate) const MARGIN: i64 = 10;
/// Where the claim lies in which a namespace's servers keep models on their node.
const NODE_CACHE: &str = "/var/cache/millrace-node";
/// The longest start that is waited for, in probes of a second: a big model over a slow line.
const START_PROBES: i32 = 3600;

/// The template.
#[must_use]
pub fn template(plan: &Plan, settings: &Settings) -> PodTemplateSpec {
    let service = plan.service.name_any();
    let mut pod_labels = common(&service);
    pod_labels.insert(labels::REVISION.to_owned(), plan.newest.name.clone());
    let drain =
        plan.service.spec.availability.drain.to_std().map_or(30, |drain| i64::try_from(drain.as_secs()).unwrap_or(30));
    let models = models(plan.inputs.model.as_ref(), &plan.inputs.models);
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(pod_labels), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            containers: vec![container(plan, settings, &models)],
            enable_service_links: Some(false),
            security_context: Some(pod_security(engines(plan).is_some())),
            termination_grace_period_seconds: Some(drain + MARGIN),
            topology_spread_constraints: Some(vec![spread(plan)]),
            volumes: Some(volumes(plan, &models)),
            ..PodSpec::default()
        }),
    }
}

/// The image with what the service's providers load.
fn image<'s>(plan: &Plan, settings: &'s Settings) -> &'s str {
    let providers = &plan.service.spec.runtime.execution_providers;
    let on_gpu = providers.iter().any(|provider| *provider != ExecutionProvider::CPU);
    if on_gpu && !settings.gpu_image.is_empty() { &settings.gpu_image } else { &settings.image }
}

fn container(plan: &Plan, settings: &Settings, models: &[ModelSource<'_>]) -> Container {
    Container {
        args: Some(args(plan, settings, models)),
        ports: Some(vec![port("data", DATA_PORT), port("health", HEALTH_PORT)]),
        resources: Some(resources(plan)),
        volume_mounts: Some(mounts(plan, models)),
        ..server(image(plan, settings), settings)
    }
}

/// What the container of every server has, whatever it serves.
pub(crate) fn server(image: &str, settings: &Settings) -> Container {
    Container {
        name: "server".to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some(settings.image_pull_policy.clone()),
        command: Some(vec!["/millrace-server".to_owned()]),
        startup_probe: Some(probe("/readyz", 1, START_PROBES)),
        readiness_probe: Some(probe("/readyz", 1, 2)),
        liveness_probe: Some(probe("/livez", 10, 3)),
        security_context: Some(container_security()),
        termination_message_path: Some(TERMINATION_MESSAGE.to_owned()),
        ..Container::default()
    }
}

/// Arguments of every server: where it is probed, whom it lets in, where it keeps files, how it ends.
pub(crate) fn common_args(drain: &str) -> impl Iterator<Item = String> {
    let args = [
        "--health-address",
        "0.0.0.0:8081",
        "--client-ca",
        "/etc/millrace-ca/ca.crt",
        "--cache-dir",
        "/var/cache/millrace",
        "--termination-message",
        TERMINATION_MESSAGE,
        "--drain",
        drain,
    ];
    args.map(str::to_owned).into_iter()
}

fn args(plan: &Plan, settings: &Settings, models: &[ModelSource<'_>]) -> Vec<String> {
    let drain = plan.service.spec.availability.drain.to_string();
    let mut args: Vec<String> = [
        "serve",
        "--manifest",
        "/etc/millrace/manifest.yaml",
        "--stores",
        "/etc/millrace/stores.yaml",
        "--address",
        "0.0.0.0:8443",
        "--grpc-address",
        "",
    ]
    .map(str::to_owned)
    .into();
    args.extend(common_args(&drain));
    if credentials(models).is_some() {
        args.extend(["--credentials".to_owned(), "/etc/millrace-credentials".to_owned()]);
    }
    if let Some(path) = models.first().and_then(|model| mounted(model.uri)) {
        args.extend(["--model-file".to_owned(), path]);
    }
    if plan.node_cache.is_some() {
        args.extend(["--node-cache".to_owned(), NODE_CACHE.to_owned()]);
        args.extend(["--node-cache-limit".to_owned(), settings.node_cache_limit.to_string()]);
    }
    args
}

/// Where a file of a claim lies in the pod; `None`: it is fetched from a store. Only one model alone may be on a volume.
#[must_use]
pub fn mounted(uri: &str) -> Option<String> {
    claim(uri).map(|(_, path)| format!("/mnt/model/{path}"))
}

/// Claim and path of `pvc://CLAIM/PATH`.
fn claim(uri: &str) -> Option<(&str, &str)> {
    let place = accept::locate(uri)?;
    (place.scheme == "pvc").then_some((place.authority, place.path))
}

/// The claim for built engines, of services that build any.
fn engines(plan: &Plan) -> Option<&Name> {
    let runtime = &plan.inputs.runtime;
    let builds = runtime.execution_providers.contains(&ExecutionProvider::TensorRT);
    runtime.engine_cache.as_ref().filter(|_| builds)?.claim_name.as_ref()
}

/// Models of one service have the same.
fn credentials<'s>(models: &[ModelSource<'s>]) -> Option<&'s Credentials> {
    models.first()?.credentials
}

fn volumes(plan: &Plan, models: &[ModelSource<'_>]) -> Vec<Volume> {
    let manifest = naming::revision_object(&plan.service.name_any(), &plan.newest.name);
    let mut volumes = vec![config_volume("manifest", manifest)];
    volumes.extend(common_volumes(credentials(models).map(|credentials| &credentials.secret_name)));
    let claimed = |name: &str, claim: &str, read_only: bool| {
        let source =
            PersistentVolumeClaimVolumeSource { claim_name: claim.to_owned(), read_only: read_only.then_some(true) };
        Volume { persistent_volume_claim: Some(source), ..volume(name) }
    };
    volumes.extend(models.first().and_then(|model| claim(model.uri)).map(|(claim, _)| claimed("model", claim, true)));
    volumes.extend(engines(plan).map(|claim| claimed("engines", claim.as_str(), false)));
    volumes.extend(plan.node_cache.as_ref().map(|claim| claimed("node-cache", claim, false)));
    volumes
}

fn volume(name: &str) -> Volume {
    Volume { name: name.to_owned(), ..Volume::default() }
}

fn config_volume(name: &str, config_map: String) -> Volume {
    Volume {
        config_map: Some(ConfigMapVolumeSource { name: config_map, ..ConfigMapVolumeSource::default() }),
        ..volume(name)
    }
}

/// What every server has: the authority, room to write, and the keys to stores if there are any.
pub(crate) fn common_volumes(secret: Option<&Name>) -> Vec<Volume> {
    let scratch = |name: &str| Volume { empty_dir: Some(EmptyDirVolumeSource::default()), ..volume(name) };
    let mut volumes = vec![config_volume("ca", config_map::CA.to_owned()), scratch("tmp"), scratch("cache")];
    volumes.extend(secret.map(|secret| {
        let source = SecretVolumeSource { secret_name: Some(secret.to_string()), ..SecretVolumeSource::default() };
        Volume { secret: Some(source), ..volume("credentials") }
    }));
    volumes
}

fn mounts(plan: &Plan, models: &[ModelSource<'_>]) -> Vec<VolumeMount> {
    let mut mounts = vec![mount("manifest", "/etc/millrace", true)];
    mounts.extend(common_mounts(credentials(models).is_some()));
    if models.first().is_some_and(|model| claim(model.uri).is_some()) {
        mounts.push(mount("model", "/mnt/model", true));
    }
    if engines(plan).is_some() {
        // Where the server keeps them anyway.
        mounts.push(mount("engines", "/var/cache/millrace/engines", false));
    }
    if plan.node_cache.is_some() {
        mounts.push(mount("node-cache", NODE_CACHE, false));
    }
    mounts
}

/// Where [`common_volumes`] lie.
pub(crate) fn common_mounts(credentials: bool) -> Vec<VolumeMount> {
    let mut mounts = vec![
        mount("ca", "/etc/millrace-ca", true),
        mount("tmp", "/tmp", false),
        mount("cache", "/var/cache/millrace", false),
    ];
    mounts.extend(credentials.then(|| mount("credentials", "/etc/millrace-credentials", true)));
    mounts
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

fn resources(plan: &Plan) -> ResourceRequirements {
    let asked = &plan.inputs.runtime.resources;
    let cpu = asked.cpu.as_ref().map_or("1", |cpu| cpu.as_str());
    let memory = asked.memory.as_ref().map_or("512Mi", |memory| memory.as_str());
    requirements(cpu, memory)
}

/// Cores are asked for; memory is also the limit.
pub(crate) fn requirements(cpu: &str, memory: &str) -> ResourceRequirements {
    let quantity = |name: &str, amount: &str| (name.to_owned(), Quantity(amount.to_owned()));
    ResourceRequirements {
        requests: Some(BTreeMap::from([quantity("cpu", cpu), quantity("memory", memory)])),
        limits: Some(BTreeMap::from([quantity("memory", memory)])),
        ..ResourceRequirements::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(HEALTH_PORT),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        timeout_seconds: Some(if period > 1 { 5 } else { 1 }),
        ..Probe::default()
    }
}

pub(crate) fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        ..SecurityContext::default()
    }
}

/// `writes`: to a volume that isn't the pod's own, which is made writable for its group.
pub(crate) fn pod_security(writes: bool) -> PodSecurityContext {
    PodSecurityContext {
        fs_group: writes.then_some(USER),
        fs_group_change_policy: writes.then(|| "OnRootMismatch".to_owned()),
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
        ..PodSecurityContext::default()
    }
}

/// A wish, not a condition: a full zone must not stop a start.
fn spread(plan: &Plan) -> TopologySpreadConstraint {
    let key = match plan.service.spec.availability.spread {
        Spread::Node => "kubernetes.io/hostname",
        Spread::Zone => "topology.kubernetes.io/zone",
    };
    let mut same = common(&plan.service.name_any());
    same.insert(labels::REVISION.to_owned(), plan.newest.name.clone());
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(LabelSelector { match_labels: Some(same), ..LabelSelector::default() }),
        ..TopologySpreadConstraint::default()
    }
}
