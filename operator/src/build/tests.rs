//! What must hold for every pod that is rendered.

use super::*;
use crate::plan::plan;
use crate::testing::{observed, plan_of, service, settings};
use serde_json::{Value, json};

fn built(patch: Value) -> Objects<Desired> {
    let observed = observed(service(patch));
    build(&plan(&observed, &settings()).unwrap(), &observed, &settings()).unwrap()
}

/// The rules of Pod Security `restricted` that a pod of ours could break.
pub fn restricted(pod: &Value) -> Result<(), String> {
    let spec = &pod["spec"];
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec[host] == true {
            return Err(host.to_owned());
        }
    }
    let pod_context = &spec["securityContext"];
    for volume in spec["volumes"].as_array().unwrap() {
        let kinds = [
            "configMap",
            "emptyDir",
            "secret",
            "persistentVolumeClaim",
            "projected",
            "downwardAPI",
            "csi",
            "ephemeral",
        ];
        if !volume.as_object().unwrap().keys().all(|key| key == "name" || kinds.contains(&key.as_str())) {
            return Err(format!("volume {volume}"));
        }
    }
    for container in spec["containers"].as_array().unwrap() {
        let context = &container["securityContext"];
        let holds = [
            (context["allowPrivilegeEscalation"] == false, "privilege escalation"),
            (
                context["capabilities"]["drop"] == json!(["ALL"]) && context["capabilities"].get("add").is_none(),
                "capabilities",
            ),
            (context["privileged"] != true, "privileged"),
            (pod_context["runAsNonRoot"] == true, "root"),
            (pod_context["runAsUser"] != 0, "root"),
            (pod_context["seccompProfile"]["type"] == "RuntimeDefault", "seccomp"),
            (container["ports"].as_array().unwrap().iter().all(|port| port.get("hostPort").is_none()), "host port"),
        ];
        if let Some((_, what)) = holds.iter().find(|(holds, _)| !holds) {
            return Err((*what).to_owned());
        }
    }
    Ok(())
}

#[test]
fn a_namespace_with_a_claim_for_it_keeps_models_on_its_nodes() {
    let mut observed = observed(service(json!({})));
    observed.namespace_labels.insert("millrace.dev/node-cache".to_owned(), "models-of-a".to_owned());
    let objects = build(&plan(&observed, &settings()).unwrap(), &observed, &settings()).unwrap();
    let pod = serde_json::to_value(&objects.deployments[0].spec.template).unwrap();
    restricted(&pod).unwrap();
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    let claim = json!({"name": "node-cache", "persistentVolumeClaim": {"claimName": "models-of-a"}});
    assert!(volumes.contains(&claim), "{volumes:?}");
    let args = pod["spec"]["containers"][0]["args"].to_string();
    assert!(args.contains(r#""--node-cache","/var/cache/millrace-node","--node-cache-limit","21474836480""#), "{args}");
    observed.namespace_labels.insert("millrace.dev/node-cache".to_owned(), "No_Claim".to_owned());
    let problems = plan(&observed, &settings()).unwrap_err();
    assert!(problems[0].message.contains("No_Claim"), "{problems:?}");
}

#[test]
fn every_pod_is_restricted_and_has_no_token() {
    let cache =
        json!({"executionProviders": ["TensorRT"], "engineCache": {"sizeLimit": "1Gi", "claimName": "engines"}});
    for patch in [json!({}), json!({"model": {"uri": "pvc://claim/model.onnx"}}), json!({"runtime": cache})] {
        for deployment in built(patch).deployments {
            let pod = serde_json::to_value(&deployment.spec.template).unwrap();
            assert_eq!(restricted(&pod), Ok(()));
            assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
            assert_eq!(pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
            let mut worse = pod.clone();
            worse["spec"]["containers"][0]["securityContext"]["capabilities"]["drop"] = json!([]);
            assert!(restricted(&worse).is_err(), "the check can't fail");
        }
    }
}

/// Built engines outlive pods where a claim is named: it lies where the server keeps them, and the server's group may write it.
#[test]
fn a_claim_for_engines_is_mounted_where_engines_are_built() {
    let pod = |providers: Value, claim: Value| {
        let cache = json!({"sizeLimit": "1Gi", "claimName": claim});
        let built = built(json!({"runtime": {"executionProviders": providers, "engineCache": cache}}));
        let spec = serde_json::to_value(&built.deployments[0].spec.template.spec).unwrap();
        let volumes = spec["volumes"].as_array().unwrap().iter();
        let claim = volumes.clone().find(|volume| volume["name"] == "engines").cloned();
        let mounts = spec["containers"][0]["volumeMounts"].as_array().unwrap().iter();
        let mount = mounts.clone().find(|mount| mount["name"] == "engines").cloned();
        (claim, mount, spec["securityContext"]["fsGroup"].clone())
    };
    let (claim, mount, group) = pod(json!(["TensorRT", "CUDA"]), json!("engines-of-team-a"));
    assert_eq!(claim.unwrap()["persistentVolumeClaim"], json!({"claimName": "engines-of-team-a"}));
    assert_eq!(mount.unwrap(), json!({"name": "engines", "mountPath": "/var/cache/millrace/engines"}));
    assert_eq!(group, 65532);
    for (providers, claim) in [(json!(["CUDA"]), json!("engines-of-team-a")), (json!(["TensorRT"]), Value::Null)] {
        assert_eq!(pod(providers, claim), (None, None, Value::Null));
    }
}

#[test]
fn an_upgrade_renders_nothing_anew() {
    let before = observed(service(json!({})));
    let first = build(&plan(&before, &settings()).unwrap(), &before, &settings()).unwrap();
    let mut after = before;
    after.owned.controller_revisions = first.controller_revisions.iter().cloned().map(std::sync::Arc::new).collect();
    let newer = Settings { image: "registry.example/millrace:2".to_owned(), ..settings() };
    let second = build(&plan(&after, &newer).unwrap(), &after, &newer).unwrap();
    assert_eq!(second.deployments, first.deployments);
    assert_eq!(second.config_maps, first.config_maps);
    assert_eq!(second.controller_revisions, first.controller_revisions);
}

/// A service with an INT8 variant at `uri`.
fn with_variant(uri: &str, least: f64) -> Value {
    let variant = json!({"name": "int8", "uri": uri, "sha256": "1".repeat(64), "precision": "INT8", "quality": 0.99});
    json!({"model": {"variants": [variant], "minQuality": least}})
}

/// The label of a Deployment, and the arguments of its server that speak of variants.
fn served(deployment: &Deployment) -> (Option<String>, Vec<String>) {
    let pod = deployment.spec.template.spec.as_ref().unwrap();
    let args = pod.containers[0].args.clone().unwrap();
    let from = args.iter().position(|arg| arg.starts_with("--variant")).unwrap_or(args.len());
    (deployment.labels().get(labels::VARIANT).cloned(), args[from..].to_vec())
}

#[test]
fn the_variant_that_keeps_the_quality_is_what_a_pod_serves() {
    for (uri, least, expected) in
        [("s3://models/int8.onnx", 0.98, Some(vec!["--variant", "int8"])), ("s3://models/int8.onnx", 0.995, None)]
    {
        for deployment in built(with_variant(uri, least)).deployments {
            let (label, args) = served(&deployment);
            assert_eq!(label.as_deref(), expected.as_ref().map(|_| "int8"));
            assert_eq!(args, expected.clone().unwrap_or_default());
            let selector = deployment.spec.selector.match_labels.as_ref().unwrap();
            assert!(!selector.contains_key(labels::VARIANT), "a selector never changes");
        }
    }
    let mut mounted = with_variant("pvc://claim/dir/int8.onnx", 0.9);
    mounted["model"]["uri"] = json!("pvc://claim/dir/model.onnx");
    let (_, args) = served(&built(mounted).deployments[0]);
    assert_eq!(args, ["--variant", "int8", "--variant-file", "int8=/mnt/model/dir/int8.onnx"]);
}

#[test]
fn a_revision_keeps_its_choice_on_a_pool() {
    let mut seen = observed(service(with_variant("s3://models/int8.onnx", 0.98)));
    // Made by a release that named variants without effect.
    let mut older = build(&plan(&seen, &settings()).unwrap(), &seen, &settings()).unwrap();
    older.deployments[0].labels_mut().remove(labels::VARIANT);
    seen.owned.deployments = vec![std::sync::Arc::new(older.deployments[0].clone())];
    seen.owned.controller_revisions = older.controller_revisions.into_iter().map(std::sync::Arc::new).collect();
    let now = build(&plan(&seen, &settings()).unwrap(), &seen, &settings()).unwrap();
    let served: Vec<_> = now.deployments.iter().map(|deployment| served(deployment).0).collect();
    assert_eq!(served, [None, Some("int8".to_owned())]);
}

#[test]
fn zero_is_sent_until_the_scaler_owns_the_number() {
    let mut seen = observed(service(json!({})));
    let first = build(&plan(&seen, &settings()).unwrap(), &seen, &settings()).unwrap();
    assert!(first.deployments.iter().all(|deployment| deployment.spec.replicas == Some(0)));
    let mut live = first.deployments[0].clone();
    live.metadata.managed_fields = serde_json::from_value(json!([{"manager": labels::SCALE_MANAGER, "operation": "Apply", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}])).unwrap();
    seen.owned.deployments = vec![std::sync::Arc::new(live)];
    let second = build(&plan(&seen, &settings()).unwrap(), &seen, &settings()).unwrap();
    assert_eq!(
        second.deployments.iter().map(|deployment| deployment.spec.replicas).collect::<Vec<_>>(),
        [None, Some(0)]
    );
}

#[test]
fn what_a_pod_reads_is_a_manifest_that_the_server_takes() {
    let objects = built(json!({"access": {"maxRequestBytes": 5}}));
    let map = objects.config_maps.iter().find(|map| map.immutable == Some(true)).unwrap();
    let manifest = millrace_crds::manifest::Manifest::from_yaml(&map.data.as_ref().unwrap()["manifest.yaml"]).unwrap();
    let plan = plan_of(json!({}));
    assert_eq!(manifest.metadata.version, Some(1));
    assert_eq!(manifest.spec.model, plan.inputs.model);
    assert!(manifest.spec.access.max_request_bytes > 5, "the gateway's limit may rise without a new revision");
    assert_eq!(manifest.spec.access.max_json_depth, 100, "and so may this one");
    let stores: Vec<millrace_crds::store::Store> =
        serde_saphyr::from_str(&map.data.as_ref().unwrap()["stores.yaml"]).unwrap();
    assert_eq!(stores, settings().stores[..1]);
}
