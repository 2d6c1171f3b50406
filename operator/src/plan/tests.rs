//! Tables: a spec, a cluster, and what is planned.

use super::*;
use crate::testing::{observed, plan_of, pool, service, settings, tenant};
use millrace_crds::conditions::reason;
use serde_json::json;

/// One variant, at a uri.
fn variants(uri: &str) -> serde_json::Value {
    let variant = json!({"name": "int8", "uri": uri, "sha256": "1".repeat(64), "precision": "INT8", "quality": 0.99});
    json!({"model": {"variants": [variant], "minQuality": 0.98}})
}

/// The first problem's reason and the messages, or none.
fn refusal(patch: serde_json::Value) -> Option<(&'static str, String)> {
    let outcome = plan(&observed(service(patch)), &settings());
    outcome.err().map(|problems| {
        (problems[0].reason, problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>().join(" | "))
    })
}

#[test]
fn refusals() {
    for (patch, expected, says) in [
        (json!({"model": {"uri": "s3://elsewhere/m.onnx"}}), reason::UNKNOWN_STORE, "it has models"),
        (json!({"model": {"uri": "gs://models/m.onnx"}}), reason::NOT_SUPPORTED, "gs://"),
        (json!({"model": {"uri": "s3://models/../m.onnx"}}), reason::INVALID, ".."),
        (json!({"model": {"sha256": null}}), reason::FORBIDDEN_BY_POLICY, "allowUnpinned"),
        (variants("s3://elsewhere/int8.onnx"), reason::INVALID, "isn't in the model's own store, s3://models"),
        (variants("s3://models/../int8.onnx"), reason::INVALID, ".."),
        (json!({"access": {"authentication": "None"}}), reason::FORBIDDEN_BY_POLICY, "allowAnonymous"),
        (json!({"access": {"priority": "Critical"}}), reason::FORBIDDEN_BY_POLICY, "maxPriority"),
        (json!({"scaling": {"minReplicas": 5, "maxReplicas": 2}}), reason::INVALID, "maxReplicas 2 is below"),
        (json!({"placement": {"mode": "PerNode"}}), reason::NOT_SUPPORTED, "placement.mode"),
        (
            json!({"placement": {"regions": ["us-east"]}}),
            reason::NO_POOL_FITS,
            "region eu-central isn't among regions us-east",
        ),
        (json!({"placement": {"accelerators": ["B200"]}}), reason::NO_POOL_FITS, "L40S isn't among accelerators B200"),
        (json!({"placement": {"locations": ["Edge"]}}), reason::NO_POOL_FITS, "cloud excluded by locations"),
        (json!({"placement": {"maxHourlyCost": "0.10"}}), reason::NO_POOL_FITS, "a replica costs"),
        (
            json!({"runtime": {"resources": {"accelerators": 1, "accelerator_memory": null, "acceleratorMemory": "96Gi"}}}),
            reason::NO_POOL_FITS,
            "memory 48Gi of 96Gi needed",
        ),
    ] {
        let (reason, message) = refusal(patch.clone()).unwrap_or_else(|| panic!("{patch} was planned"));
        assert_eq!(reason, expected, "{patch}: {message}");
        assert!(message.contains(says), "{patch}: {message:?} doesn't say {says:?}");
    }
    assert_eq!(refusal(json!({})), None);
}

/// A service of two models, with changes to the second one and to the graph.
fn several(second: &serde_json::Value, steps: &[(&str, &[&str])]) -> serde_json::Value {
    let digest = "0".repeat(64);
    let first =
        json!({"name": "a", "uri": "s3://models/a.onnx", "sha256": digest, "credentials": {"secretName": "models"}});
    let mut other =
        json!({"name": "b", "uri": "s3://models/b.onnx", "sha256": digest, "credentials": {"secretName": "models"}});
    for (key, value) in second.as_object().unwrap() {
        other[key] = value.clone();
    }
    let step = |(name, from): &(&str, &[&str])| json!({"name": name, "from": from, "infer": {"model": name}});
    let steps: Vec<_> = steps.iter().map(step).collect();
    json!({"model": null, "models": [first, other], "pipeline": {"postprocess": null, "steps": steps}})
}

#[test]
fn several_models() {
    type Steps<'s> = &'s [(&'s str, &'s [&'s str])];
    let chain: Steps<'_> = &[("b", &["a"]), ("a", &[])];
    let circle: Steps<'_> = &[("b", &["b"]), ("a", &[])];
    let loose: Steps<'_> = &[("b", &[]), ("a", &[])];
    let none: Steps<'_> = &[];
    let planned = plan_of(several(&json!({}), chain));
    assert_eq!(planned.inputs.stores.len(), 1, "one store for both");
    for (second, steps, expected, says) in [
        (json!({"sha256": null}), chain, reason::FORBIDDEN_BY_POLICY, "the model b has no sha256"),
        (json!({"uri": "s3://elsewhere/b.onnx"}), chain, reason::UNKNOWN_STORE, "no s3 store elsewhere"),
        (json!({"uri": "pvc://claim/b.onnx"}), chain, reason::NOT_SUPPORTED, "the model b is on a volume"),
        (json!({"credentials": {"secretName": "x"}}), chain, reason::NOT_SUPPORTED, "different credentials"),
        (json!({}), circle, reason::INVALID, "in a circle: b"),
        (json!({}), loose, reason::INVALID, "no step takes b, a"),
        (json!({}), none, reason::INVALID, "models and pipeline.steps go together"),
    ] {
        let (reason, message) = refusal(several(&second, steps)).unwrap_or_else(|| panic!("{second} was planned"));
        assert_eq!(reason, expected, "{second}: {message}");
        assert!(message.contains(says), "{second}: {message:?} doesn't say {says:?}");
    }
}

#[test]
fn a_namespace_without_tenant_is_refused_unless_there_is_a_default() {
    let mut seen = observed(service(json!({})));
    seen.namespace_labels.clear();
    assert_eq!(plan(&seen, &settings()).unwrap_err()[0].reason, reason::NO_TENANT);
    let with_default = Settings { default_tenant: "team-a".to_owned(), ..settings() };
    assert_eq!(plan(&seen, &with_default).unwrap().tenant, "team-a");
}

#[test]
fn a_source_that_the_tenant_forbids_is_forbidden_to_variants_too() {
    let mut seen = observed(service(variants("s3://models/other/int8.onnx")));
    let mut owner = tenant("team-a", "2026-01-01T00:00:00Z");
    owner.spec.policy.sources = vec!["s3://models/magika/".into()];
    seen.tenants = vec![Arc::new(owner)];
    let problems = plan(&seen, &settings()).unwrap_err();
    assert_eq!((problems.len(), problems[0].reason), (1, reason::FORBIDDEN_BY_POLICY));
    assert!(problems[0].message.starts_with("s3://models/other/int8.onnx is below none"), "{}", problems[0].message);
    seen.service = Arc::new(service(variants("s3://models/magika/int8.onnx")));
    assert!(plan(&seen, &settings()).is_ok());
}

#[test]
fn the_older_tenant_keeps_a_namespace() {
    let mut seen = observed(service(json!({})));
    let labels = seen.namespace_labels.clone();
    seen.tenants =
        vec![Arc::new(tenant("young", "2026-02-01T00:00:00Z")), Arc::new(tenant("old", "2026-01-01T00:00:00Z"))];
    assert_eq!(tenancy::holder(&seen.tenants, &labels).unwrap().name_any(), "old");
}

#[test]
fn on_premises_first_then_price() {
    let mut seen = observed(service(json!({"placement": {"locations": ["OnPremises", "Cloud"]}})));
    seen.pools.push(Arc::new(pool("cheap-cloud", "L40S", "Cloud", "0.05")));
    let names = |plan: Plan| plan.places.allowed.iter().map(|place| place.pool.name_any()).collect::<Vec<_>>();
    assert_eq!(names(plan(&seen, &settings()).unwrap()), ["l40s-onprem", "cheap-cloud", "h100-cloud"]);
    seen.service = Arc::new(service(json!({"placement": {"locations": []}})));
    assert_eq!(names(plan(&seen, &settings()).unwrap())[0], "cheap-cloud");
}

#[test]
fn only_what_makes_a_revision_makes_one() {
    let base = plan_of(json!({}));
    for patch in [
        json!({"scaling": {"minReplicas": 2}}),
        json!({"slo": {"latency": {"target": "9ms"}}}),
        json!({"placement": {"spot": "Allowed"}}),
        json!({"access": {"timeout": "9s"}}),
        json!({"availability": {"drain": "9s"}}),
    ] {
        assert_eq!(plan_of(patch.clone()).newest.name, base.newest.name, "{patch}");
    }
    for patch in [
        json!({"model": {"uri": "s3://models/other.onnx"}}),
        json!({"batching": {"maxSize": 2}}),
        json!({"runtime": {"instances": 2}}),
        json!({"pipeline": {"postprocess": [{"softmax": {}}]}}),
    ] {
        assert_ne!(plan_of(patch.clone()).newest.name, base.newest.name, "{patch}");
    }
}

#[test]
fn a_stored_revision_is_recognised_by_meaning() {
    let first = plan_of(json!({}));
    let mut inputs = serde_json::to_value(&first.inputs).unwrap();
    // An older release didn't write a field that has a default now.
    inputs["batching"].as_object_mut().unwrap().remove("maxQueue");
    let data =
        revision::RevisionData { inputs, template: Default::default(), manifest: String::new(), stores: String::new() };
    let kept = Revision { name: "aaaa".to_owned(), version: 7, stored: Some(data) };
    assert_eq!(revision::newest(&first.inputs, std::slice::from_ref(&kept), &[]), kept);
    let mut changed = first.inputs.clone();
    changed.batching.max_size = 1;
    assert_eq!(revision::newest(&changed, &[kept], &[]).version, 8);
}

#[test]
fn a_late_index_makes_no_second_version() {
    let first = plan_of(json!({}));
    let shown = [(first.newest.name.clone(), 4), ("other".to_owned(), 6)];
    assert_eq!(revision::newest(&first.inputs, &[], &shown).version, 4);
    assert_eq!(revision::newest(&first.inputs, &[], &[("other".to_owned(), 6)]).version, 7);
}
