//! The conditions of a service, each one sentence long.

use super::cause::{self, Cause, bounded};
use super::{Context, Counts, Outcome};
use crate::config::Enforced;
use crate::plan::models::models;
use crate::plan::tenancy::list;
use crate::plan::{Plan, Problem, Refusal};
use crate::scale::Engines;
use ConditionStatus::{False, True, Unknown};
use millrace_crds::conditions::*;
use millrace_crds::{Condition, ConditionStatus, InferenceServiceStatus, NetworkPolicyMode};

/// Longest message; the schema allows more than anybody reads.
const LONGEST: usize = 2_048;

fn condition(kind: &str, status: ConditionStatus, reason: &str, message: impl Into<String>) -> Condition {
    Condition {
        type_: kind.into(),
        status,
        reason: reason.into(),
        message: bounded(&message.into(), LONGEST),
        observed_generation: None,
        last_transition_time: String::new(),
    }
}

/// Stamps generation and time. The time moves only when a condition flips.
pub fn settle(new: &mut [Condition], old: &[Condition], generation: Option<i64>, now: &str) {
    for condition in new {
        condition.observed_generation = generation;
        let before = old.iter().find(|before| before.type_ == condition.type_ && before.status == condition.status);
        condition.last_transition_time =
            before.map_or_else(|| now.to_owned(), |before| before.last_transition_time.clone());
    }
}

/// All conditions, Ready first.
pub(super) fn conditions(
    outcome: &Outcome<'_>,
    context: &Context<'_>,
    new: &InferenceServiceStatus,
    counts: &Counts,
    cause: Option<&Cause>,
) -> Vec<Condition> {
    let mut all = match outcome {
        Outcome::Refused(refusal) => refused(&refusal.problems),
        Outcome::Done(plan, _) => {
            carried_out(plan, new, counts, cause, context.scale.map(|scale| scale.engines).unwrap_or_default())
        }
    };
    all.push(routes(outcome, context, new, counts));
    all.push(metrics(context));
    all.push(network(context));
    all
}

/// The first problem speaks for Ready, the rest follow in its message.
#[must_use]
pub fn refused(problems: &[Problem]) -> Vec<Condition> {
    let Some(first) = problems.first() else { return Vec::new() };
    let message = problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; ");
    let mut all = vec![
        condition(READY, False, first.reason, message.clone()),
        condition(RECONCILING, False, first.reason, "nothing is done before the spec is mended"),
        condition(STALLED, True, first.reason, message.clone()),
    ];
    if first.condition == ACCEPTED {
        all.push(condition(ACCEPTED, False, first.reason, message));
    } else {
        all.push(condition(ACCEPTED, True, reason::ACCEPTED, "the spec is valid and allowed"));
        all.push(condition(first.condition, False, first.reason, message));
    }
    all
}

fn carried_out(
    plan: &Plan,
    new: &InferenceServiceStatus,
    counts: &Counts,
    cause: Option<&Cause>,
    engines: Engines,
) -> Vec<Condition> {
    let (ready, stalled) = readiness(plan, new, counts, cause);
    let busy = ready.status != True && !stalled;
    let reconciling = if busy {
        condition(RECONCILING, True, reason::PROGRESSING, ready.message.clone())
    } else {
        condition(RECONCILING, False, reason::UP_TO_DATE, "nothing is under way")
    };
    let stall = if stalled {
        condition(STALLED, True, ready.reason.as_str(), ready.message.clone())
    } else {
        condition(STALLED, False, reason::PROGRESSING, "nothing stands in the way")
    };
    let names = plan.places.allowed.len();
    vec![
        ready,
        reconciling,
        stall,
        condition(ACCEPTED, True, reason::ACCEPTED, "the spec is valid and allowed"),
        verified(plan, new, cause),
        match cause.filter(|cause| cause.reason == reason::UNSCHEDULABLE) {
            Some(cause) => condition(PLACED, False, reason::UNSCHEDULABLE, cause.message.clone()),
            None => condition(PLACED, True, reason::PLACED, format!("{names} pools may be used")),
        },
        workload(counts, cause, engines),
        support(plan),
    ]
}

/// Ready, and whether nothing will move without help.
fn readiness(plan: &Plan, new: &InferenceServiceStatus, counts: &Counts, cause: Option<&Cause>) -> (Condition, bool) {
    let newest = plan.newest.name.as_str();
    let ready = counts.ready.get(newest).copied().unwrap_or(0);
    let desired = counts.desired.get(newest).copied().unwrap_or(0);
    let proven = new.proven.iter().any(|name| name.as_str() == newest);
    let standbys = counts.standbys.get(newest).copied().unwrap_or(0);
    if ready + standbys > 0 {
        let beside = if standbys > 0 { format!(" and {standbys} standby servers") } else { String::new() };
        let message = format!("revision {newest} serves with {ready} of {desired} replicas{beside}");
        return (condition(READY, True, reason::READY, message), false);
    }
    if desired == 0 && proven {
        let message = format!("revision {newest} has no replica; the next request starts one");
        return (condition(READY, True, reason::SCALED_TO_ZERO, message), false);
    }
    match cause.filter(|cause| cause.revision == newest) {
        Some(cause) => (condition(READY, False, cause.reason, cause.message.clone()), cause.lasting),
        None => (
            condition(
                READY,
                False,
                reason::STARTING,
                format!("revision {newest} starts: no replica of {desired} is ready"),
            ),
            false,
        ),
    }
}

fn verified(plan: &Plan, new: &InferenceServiceStatus, cause: Option<&Cause>) -> Condition {
    let newest = plan.newest.name.as_str();
    const OF_MODEL: [&str; 4] =
        [reason::DIGEST_MISMATCH, reason::FETCH_FAILED, reason::MODEL_INVALID, reason::UNKNOWN_STORE];
    let failed = cause.filter(|cause| cause.revision == newest && OF_MODEL.contains(&cause.reason));
    let pinned = models(plan.inputs.model.as_ref(), &plan.inputs.models).iter().all(|model| model.pinned);
    if let Some(cause) = failed {
        return condition(MODEL_VERIFIED, False, cause.reason, cause.message.clone());
    }
    if !new.proven.iter().any(|name| name.as_str() == newest) {
        return condition(MODEL_VERIFIED, Unknown, reason::PENDING, "no server has loaded the model yet");
    }
    if pinned {
        return condition(MODEL_VERIFIED, True, reason::VERIFIED, "the model's bytes are those that the spec names");
    }
    condition(
        MODEL_VERIFIED,
        Unknown,
        reason::NOT_VERIFIED,
        "the spec names no digest: the model is served as it was found",
    )
}

fn workload(counts: &Counts, cause: Option<&Cause>, engines: Engines) -> Condition {
    let (ready, desired): (u32, u32) = (counts.ready.values().sum(), counts.desired.values().sum());
    let message = format!("{ready} of {desired} replicas are ready");
    if desired == 0 {
        return condition(WORKLOAD_AVAILABLE, True, reason::SCALED_TO_ZERO, "no replica is asked for");
    }
    if ready >= desired {
        let Engines { building, failed } = engines;
        let (reason, more) = match engines {
            Engines { failed: 1.., .. } => (
                reason::ENGINE_FAILED,
                format!("; on {failed} TensorRT can't build its engine, as their logs say, and CUDA serves"),
            ),
            Engines { building: 1.., .. } => {
                (reason::ENGINE_BUILDING, format!("; on {building} CUDA serves while TensorRT builds its engine"))
            }
            Engines { .. } => (reason::AVAILABLE, String::new()),
        };
        return condition(WORKLOAD_AVAILABLE, True, reason, message + &more);
    }
    match cause {
        Some(cause) => condition(WORKLOAD_AVAILABLE, False, cause.reason, format!("{message}: {}", cause.message)),
        None => condition(WORKLOAD_AVAILABLE, False, reason::STARTING, message),
    }
}

fn support(plan: &Plan) -> Condition {
    if plan.named.is_empty() {
        return condition(FULLY_SUPPORTED, True, reason::SUPPORTED, "every field in use is acted upon");
    }
    condition(
        FULLY_SUPPORTED,
        False,
        reason::FIELDS_WITHOUT_EFFECT,
        format!("without effect in this release: {}", list(&plan.named)),
    )
}

/// Whether requests lead somewhere: to replicas, or to a revision that can be started for them. Gateways hold requests
/// only while this is so.
fn routes(outcome: &Outcome<'_>, context: &Context<'_>, new: &InferenceServiceStatus, counts: &Counts) -> Condition {
    let Some(entry) = new.traffic.first() else {
        return condition(ROUTES_READY, False, reason::PENDING, "no revision has been ready yet");
    };
    let revision = entry.revision.as_str();
    let goes = condition(ROUTES_READY, True, reason::READY, format!("requests go to revision {revision}"));
    let answer = |counted: &std::collections::BTreeMap<String, u32>| counted.get(revision).copied().unwrap_or(0) > 0;
    if answer(&counts.ready) || answer(&counts.standbys) {
        return goes;
    }
    let stuck = |reason: &str, why: &str| {
        condition(ROUTES_READY, False, reason, format!("revision {revision} has the requests and can't start: {why}"))
    };
    match outcome {
        Outcome::Refused(Refusal { problems, last_good: None }) => {
            problems.first().map_or(goes, |first| stuck(first.reason, &first.message))
        }
        _ => cause::lasting(context.observed, revision).map_or(goes, |why| stuck(why.reason, &why.message)),
    }
}

fn metrics(context: &Context<'_>) -> Condition {
    match context.scale.map(|scale| scale.metrics_fresh) {
        Some(true) => condition(METRICS_AVAILABLE, True, reason::FRESH, "every gateway reports"),
        Some(false) => condition(
            METRICS_AVAILABLE,
            False,
            reason::NO_METRICS,
            "a gateway doesn't report: replicas aren't taken away meanwhile",
        ),
        // After a change of leader the scaler hasn't looked yet: what was told last stands until it has.
        None => told_before(context, METRICS_AVAILABLE).unwrap_or_else(|| {
            condition(METRICS_AVAILABLE, Unknown, reason::PENDING, "the scaler hasn't looked at this service yet")
        }),
    }
}

fn network(context: &Context<'_>) -> Condition {
    let observed = context.observed;
    let holder = crate::plan::tenancy::holder(&observed.tenants, &observed.namespace_labels);
    if holder.is_some_and(|tenant| tenant.spec.policy.network_policy == NetworkPolicyMode::None) {
        return condition(
            NETWORK_POLICY_ENFORCED,
            False,
            reason::NOT_VERIFIED,
            "the tenant's policy asks for no NetworkPolicy",
        );
    }
    match context.settings.network_policy_enforced {
        Enforced::True => {
            condition(NETWORK_POLICY_ENFORCED, True, reason::VERIFIED, "the platform states that it is enforced")
        }
        Enforced::False => condition(
            NETWORK_POLICY_ENFORCED,
            False,
            reason::NOT_VERIFIED,
            "the platform states that the network doesn't enforce it; servers still refuse callers without the release's certificate",
        ),
        Enforced::Unknown => condition(
            NETWORK_POLICY_ENFORCED,
            Unknown,
            reason::NOT_VERIFIED,
            "the platform doesn't state whether the network enforces it",
        ),
    }
}

fn told_before(context: &Context<'_>, kind: &str) -> Option<Condition> {
    let status = context.observed.service.status.as_ref()?;
    status.conditions.iter().find(|condition| condition.type_.as_str() == kind).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_is_served_by_another_engine_than_it_asked_for_says_so() {
        let revision = || [("r".to_owned(), 2)].into();
        let counts = Counts { ready: revision(), desired: revision(), ..Counts::default() };
        for (engines, reason, told) in [
            (Engines::default(), reason::AVAILABLE, "2 of 2 replicas are ready"),
            (Engines { building: 1, failed: 0 }, reason::ENGINE_BUILDING, "on 1 CUDA serves while TensorRT builds"),
            (Engines { building: 1, failed: 1 }, reason::ENGINE_FAILED, "on 1 TensorRT can't build its engine"),
        ] {
            let condition = workload(&counts, None, engines);
            assert_eq!((condition.status, condition.reason.as_str()), (True, reason), "{engines:?}");
            assert!(condition.message.contains(told), "{}", condition.message);
        }
    }
}
