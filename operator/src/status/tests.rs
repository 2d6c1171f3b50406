//! Tables: what is, and what is told of it.

use super::*;
use crate::build::{Objects, build};
use crate::plan::{Refusal, plan};
use crate::pods::{PodView, Trouble};
use crate::testing::{observed, service, settings};
use millrace_crds::conditions::{ACCEPTED, MODEL_VERIFIED, PLACED, READY, RECONCILING, ROUTES_READY, STALLED, reason};
use millrace_crds::{Condition, ConditionStatus};
use serde_json::{Value, json};
use std::marker::PhantomData;
use std::sync::Arc;

const NOW: &str = "2026-11-24T17:00:00Z";

/// A service with `replicas` asked for on its first pool, `pods`, and `old` status.
fn told(
    replicas: i32,
    pods: &[PodView],
    old: InferenceServiceStatus,
    patch: Value,
    now: &str,
) -> InferenceServiceStatus {
    let mut object = service(patch);
    object.status = Some(old);
    let mut seen = observed(object);
    let planned = plan(&seen, &settings());
    let context_pods = |name: &str| {
        pods.iter()
            .cloned()
            .map(|pod| PodView {
                revision: if pod.revision.is_empty() { name.to_owned() } else { pod.revision.clone() },
                pool: "l40s-onprem".to_owned(),
                ..pod
            })
            .collect()
    };
    let applied = planned.as_ref().ok().map(|plan| {
        seen.pods = context_pods(&plan.newest.name);
        let Objects {
            controller_revisions,
            config_maps,
            network_policies,
            services,
            budgets,
            mut deployments,
            stage: _,
        } = build(plan, &seen, &settings()).unwrap();
        deployments[0].spec.replicas = Some(replicas);
        seen.owned.deployments = deployments.iter().cloned().map(Arc::new).collect();
        Objects::<Applied> {
            controller_revisions,
            config_maps,
            network_policies,
            services,
            budgets,
            deployments,
            stage: PhantomData,
        }
    });
    let refusal = planned.as_ref().err().map(|problems| Refusal { problems: problems.clone(), last_good: None });
    let outcome = match (&planned, &applied, &refusal) {
        (Ok(plan), Some(applied), _) => Outcome::Done(plan, applied),
        (Err(_), _, Some(refusal)) => Outcome::Refused(refusal),
        _ => unreachable!("a plan was applied, or refused"),
    };
    let settings = settings();
    status(&outcome, &Context { observed: &seen, settings: &settings, scale: None, now })
}

fn find<'s>(status: &'s InferenceServiceStatus, kind: &str) -> &'s Condition {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_.as_str() == kind)
        .unwrap_or_else(|| panic!("no condition {kind}"))
}

fn pod(ready: bool, trouble: Option<&'static str>) -> PodView {
    let trouble = trouble.map(|reason| Trouble { reason, message: "so it is".to_owned(), count: 2 });
    PodView { name: "p".to_owned(), ready, trouble, ..PodView::default() }
}

#[test]
fn phases() {
    use ConditionStatus::{False, True};
    for (replicas, pods, expected, stalled) in [
        (0, vec![], (False, reason::STARTING), False),
        (1, vec![], (False, reason::STARTING), False),
        (1, vec![pod(false, None)], (False, reason::STARTING), False),
        (1, vec![pod(true, None)], (True, reason::READY), False),
        (1, vec![pod(false, Some(reason::DIGEST_MISMATCH))], (False, reason::DIGEST_MISMATCH), True),
        (1, vec![pod(false, Some(reason::UNSCHEDULABLE))], (False, reason::UNSCHEDULABLE), False),
        (2, vec![pod(true, None), pod(false, Some(reason::UNSCHEDULABLE))], (True, reason::READY), False),
        (1, vec![pod(false, Some(reason::MISSING_REFERENCE))], (False, reason::MISSING_REFERENCE), True),
    ] {
        let told = told(replicas, &pods, InferenceServiceStatus::default(), json!({}), NOW);
        let ready = find(&told, READY);
        assert_eq!((ready.status, ready.reason.as_str()), expected, "{replicas} {pods:?}");
        assert_eq!(find(&told, STALLED).status, stalled, "{pods:?}");
        assert!(find(&told, RECONCILING).status == False || (ready.status == False && stalled == False));
        assert_eq!(ready.observed_generation, Some(3));
        assert_eq!(
            told.traffic.is_empty(),
            pods.iter().all(|pod| !pod.ready),
            "requests go to a revision that was never ready"
        );
    }
}

#[test]
fn zero_is_ready_only_for_a_proven_revision() {
    let ran = told(1, &[pod(true, None)], InferenceServiceStatus::default(), json!({}), NOW);
    assert_eq!(ran.traffic.len(), 1);
    assert_eq!((ran.traffic[0].weight, ran.proven.len()), (100, 1));
    let idle = told(0, &[], ran, json!({}), NOW);
    assert_eq!(find(&idle, READY).reason.as_str(), reason::SCALED_TO_ZERO);
    assert_eq!(find(&idle, READY).status, ConditionStatus::True);
    let never = told(0, &[], InferenceServiceStatus::default(), json!({}), NOW);
    assert_eq!(find(&never, READY).status, ConditionStatus::False);
}

#[test]
fn times_move_only_when_a_condition_flips() {
    let first = told(1, &[pod(true, None)], InferenceServiceStatus::default(), json!({}), NOW);
    let again = told(1, &[pod(true, None)], first.clone(), json!({}), "2026-11-24T18:00:00Z");
    assert_eq!(again, first, "an unchanged service would be written for ever");
    let later = told(1, &[pod(false, None)], first, json!({}), "2026-11-24T18:00:00Z");
    assert_eq!(find(&later, READY).last_transition_time, "2026-11-24T18:00:00Z");
    assert_eq!(find(&later, ACCEPTED).last_transition_time, NOW);
}

#[test]
fn a_spec_that_turns_bad_keeps_traffic() {
    let ran = told(1, &[pod(true, None)], InferenceServiceStatus::default(), json!({}), NOW);
    let bad = told(1, &[], ran.clone(), json!({"model": {"uri": "s3://elsewhere/m.onnx"}}), NOW);
    assert_eq!(
        (find(&bad, ACCEPTED).status, find(&bad, ACCEPTED).reason.as_str()),
        (ConditionStatus::False, reason::UNKNOWN_STORE)
    );
    assert_eq!(find(&bad, READY).status, ConditionStatus::False);
    assert_eq!((bad.traffic, bad.proven), (ran.traffic, ran.proven));
    let nowhere = told(1, &[], InferenceServiceStatus::default(), json!({"placement": {"regions": ["mars"]}}), NOW);
    assert_eq!(find(&nowhere, PLACED).reason.as_str(), reason::NO_POOL_FITS);
    assert_eq!(find(&nowhere, ACCEPTED).status, ConditionStatus::True);
}

#[test]
fn requests_lead_nowhere_when_what_has_them_cannot_start() {
    use ConditionStatus::{False, True};
    let ran = told(1, &[pod(true, None)], InferenceServiceStatus::default(), json!({}), NOW);
    let lost = |reason| told(1, &[pod(false, reason)], ran.clone(), json!({}), NOW);
    for (status, expected) in [
        (InferenceServiceStatus::default(), False),
        (ran.clone(), True),
        (told(0, &[], ran.clone(), json!({}), NOW), True),
        (lost(None), True),
        (lost(Some(reason::UNSCHEDULABLE)), True),
        (lost(Some(reason::FETCH_FAILED)), False),
    ] {
        let again = if status.conditions.is_empty() { told(0, &[], status, json!({}), NOW) } else { status };
        assert_eq!(find(&again, ROUTES_READY).status, expected, "{:?}", find(&again, READY));
    }
    // The newest revision is stuck; the one before it, at zero, still has the requests and can be started.
    let newer = json!({"batching": {"maxSize": 2}});
    let stuck = told(1, &[pod(false, Some(reason::FETCH_FAILED))], ran, newer, NOW);
    assert_eq!((find(&stuck, STALLED).status, stuck.traffic.len()), (True, 0), "it isn't stored, so it is gone");
}

#[test]
fn a_wrong_digest_is_told_as_such_and_room_is_counted() {
    let wrong =
        told(1, &[pod(false, Some(reason::DIGEST_MISMATCH))], InferenceServiceStatus::default(), json!({}), NOW);
    assert_eq!(find(&wrong, MODEL_VERIFIED).reason.as_str(), reason::DIGEST_MISMATCH);
    let failure = wrong.model.unwrap().last_failure.unwrap();
    assert_eq!((failure.reason.as_str(), failure.count), (reason::DIGEST_MISMATCH, 2));
    let full = told(
        1,
        &[pod(false, Some(reason::UNSCHEDULABLE))],
        InferenceServiceStatus::default(),
        json!({"placement": {"locations": ["OnPremises"]}}),
        NOW,
    );
    let message = &find(&full, PLACED).message;
    assert!(message.contains("L40S: not counted on premises; h100-cloud: cloud excluded by locations"), "{message}");
}

#[test]
fn the_variant_that_is_served_is_told() {
    let variant = |name: &str, precision: &str| json!({"name": name, "uri": format!("s3://models/{name}.onnx"), "sha256": "1".repeat(64), "precision": precision, "quality": 0.99});
    let patch = json!({"model": {"variants": [variant("int8", "INT8"), variant("half", "FP16")], "minQuality": 0.98}});
    let told = |patch: Value| told(1, &[pod(true, None)], InferenceServiceStatus::default(), patch, NOW);
    let served = told(patch.clone());
    let model = served.model.unwrap();
    assert_eq!(model.variant, Some("int8".into()));
    assert_eq!(model.sha256, Some("1".repeat(64).into()));
    assert_eq!(served.pools[0].variant, Some("int8".into()));
    let mut strict = patch;
    strict["model"]["minQuality"] = json!(1.0);
    let model = told(strict).model.unwrap();
    assert_eq!((model.variant, model.sha256), (None, Some("0".repeat(64).into())));
}

#[test]
fn no_room_is_told_before_there_is_a_pod() {
    let seen = observed(service(json!({})));
    let planned = plan(&seen, &settings()).unwrap();
    let scale = ScaleState {
        desired: 0,
        reason: "no room: l40s-onprem (on premises) 0 of 4 free".to_owned(),
        at: NOW.to_owned(),
        metrics_fresh: true,
        cause: millrace_scaler::Cause::NoRoom,
        engines: crate::scale::Engines::default(),
        cold: None,
    };
    let applied = Objects::<Applied>::default();
    let context = Context { observed: &seen, settings: &settings(), scale: Some(&scale), now: NOW };
    let told = status(&Outcome::Done(&planned, &applied), &context);
    assert_eq!(
        (find(&told, READY).reason.as_str(), find(&told, PLACED).status),
        (reason::UNSCHEDULABLE, ConditionStatus::False)
    );
    assert!(find(&told, READY).message.contains("0 of 4 free"));
}

/// A standby of the pool on premises that serves `revision`.
fn standby(revision: &str) -> crate::standby::Standby {
    let slot = millrace_scaler::Slot::new(&revision.into(), &"l40s-onprem".into());
    crate::standby::Standby {
        name: "s".to_owned(),
        uid: "s".to_owned(),
        version: "1".to_owned(),
        owners: Vec::new(),
        pool: "l40s-onprem".into(),
        image: String::new(),
        address: None,
        role: crate::standby::Role::Serving(millrace_scaler::ServiceId::new("team-a", "magika"), slot),
        stage: crate::scale::Stage::Ready { since: 2.0, made: 1.0 },
        restarted: false,
    }
}

#[test]
fn a_service_that_a_standby_answers_for_is_ready_and_says_so() {
    let ran = told(1, &[pod(true, None)], InferenceServiceStatus::default(), json!({}), NOW);
    let mut object = service(json!({}));
    object.status = Some(ran);
    let mut seen = observed(object);
    let planned = plan(&seen, &settings()).unwrap();
    let settings = settings();
    let tell = |seen: &crate::observe::Observed, cold: Option<&str>| {
        let objects = build(&planned, seen, &settings).unwrap();
        let (config_maps, deployments) = (objects.config_maps, objects.deployments);
        let applied = Objects::<Applied> { config_maps, deployments, ..Objects::default() };
        let scale = ScaleState {
            desired: 1,
            reason: String::new(),
            at: NOW.to_owned(),
            metrics_fresh: true,
            cause: millrace_scaler::Cause::Wake,
            engines: crate::scale::Engines::default(),
            cold: cold.map(str::to_owned),
        };
        let context = Context { observed: seen, settings: &settings, scale: Some(&scale), now: NOW };
        status(&Outcome::Done(&planned, &applied), &context)
    };
    seen.standbys = vec![standby(&planned.newest.name)];
    let bridged = tell(&seen, None);
    let ready = find(&bridged, READY);
    assert_eq!((ready.status, ready.reason.as_str()), (ConditionStatus::True, reason::READY));
    assert!(ready.message.contains("and 1 standby servers"), "{}", ready.message);
    assert_eq!(find(&bridged, ROUTES_READY).status, ConditionStatus::True);
    let of_pool = |told: &InferenceServiceStatus| {
        told.pools
            .iter()
            .find(|pool| pool.name.as_str() == "l40s-onprem")
            .map(|pool| (pool.standbys, pool.starts_cold.clone()))
    };
    assert_eq!(of_pool(&bridged), Some((1, None)), "a pool without standbys owes no word");
    // A pool that has some: why they don't fit comes before why none was given now.
    let mut pool = crate::testing::pool("l40s-onprem", "L40S", "OnPremises", "0.90");
    pool.spec.standby.replicas = 1;
    seen.pools = vec![Arc::new(pool.clone())];
    let (_, cold) = of_pool(&tell(&seen, Some("quota"))).unwrap();
    assert!(cold.as_ref().is_some_and(|why| why.contains("no identity of their own")), "{cold:?}");
    pool.spec.standby.identity =
        serde_json::from_value(json!({"secretName": "keys", "sources": ["s3://models/"]})).unwrap();
    seen.pools = vec![Arc::new(pool)];
    assert_eq!(of_pool(&tell(&seen, None)), Some((1, None)));
    assert_eq!(of_pool(&tell(&seen, Some("quota"))), Some((1, Some("quota".to_owned()))));
}
