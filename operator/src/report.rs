//! Outcomes told: to the log, to metrics, and as Events, the last only when something has changed.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::runtime::events::{Event, EventType, Recorder};
use millrace_crds::conditions::{ACCEPTED, MODEL_VERIFIED, PLACED, READY, WORKLOAD_AVAILABLE, reason};
use millrace_crds::{Condition, ConditionStatus};

/// Conditions whose changes are Events. A cause shows in several; the first that tells it is enough.
const TOLD: [&str; 5] = [ACCEPTED, MODEL_VERIFIED, PLACED, WORKLOAD_AVAILABLE, READY];
/// Reasons that are the usual way of things.
const QUIET: [&str; 4] = [reason::PENDING, reason::STARTING, reason::PROGRESSING, reason::UP_TO_DATE];
/// Longest note of an Event, in bytes.
const LONGEST: usize = 1_000;

/// A change worth an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Whether somebody should look.
    pub warning: bool,
    /// The condition's reason.
    pub reason: String,
    /// The condition's message.
    pub note: String,
}

/// What has changed between two sets of conditions: one transition for each reason.
#[must_use]
pub fn transitions(old: &[Condition], new: &[Condition]) -> Vec<Transition> {
    let mut told: Vec<Transition> = Vec::new();
    for kind in TOLD {
        let Some(now) = new.iter().find(|condition| condition.type_.as_str() == kind) else { continue };
        let before = old.iter().find(|condition| condition.type_ == now.type_);
        let same = before.is_some_and(|before| before.status == now.status && before.reason == now.reason);
        let good = now.status == ConditionStatus::True;
        let quiet =
            QUIET.contains(&now.reason.as_str()) || now.status == ConditionStatus::Unknown || (good && kind != READY);
        if same || quiet || told.iter().any(|other| other.reason == now.reason.as_str()) {
            continue;
        }
        told.push(Transition { warning: !good, reason: now.reason.to_string(), note: cut(&now.message) });
    }
    told
}

/// A note that an Event can hold.
#[must_use]
pub fn cut(text: &str) -> String {
    let end = (0..=text.len().min(LONGEST)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}

/// Publishes transitions. An Event that can't be written is logged: it must not stop the work that it tells of.
pub async fn publish<K: Resource<DynamicType = ()>>(recorder: &Recorder, object: &K, transitions: &[Transition]) {
    for transition in transitions {
        send(recorder, &object.object_ref(&()), transition).await;
    }
}

/// Publishes one.
pub async fn send(recorder: &Recorder, object: &ObjectReference, transition: &Transition) {
    let reason = &transition.reason;
    let [kind, namespace, name] = [&object.kind, &object.namespace, &object.name];
    if transition.warning {
        tracing::warn!(kind, namespace, name, reason, "{}", transition.note);
    } else {
        tracing::info!(kind, namespace, name, reason, "{}", transition.note);
    }
    let event = Event {
        type_: if transition.warning { EventType::Warning } else { EventType::Normal },
        reason: reason.clone(),
        note: Some(transition.note.clone()),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    if let Err(error) = recorder.publish(&event, object).await {
        tracing::warn!(%error, "an Event couldn't be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(kind: &str, status: ConditionStatus, reason: &str) -> Condition {
        Condition {
            type_: kind.into(),
            status,
            reason: reason.into(),
            message: "m".repeat(2_000),
            observed_generation: None,
            last_transition_time: String::new(),
        }
    }

    #[test]
    fn only_changes_are_told_and_each_cause_once() {
        let bad = vec![
            condition(READY, ConditionStatus::False, "NoTenant"),
            condition(ACCEPTED, ConditionStatus::False, "NoTenant"),
        ];
        let told = transitions(&[], &bad);
        assert_eq!(told.len(), 1);
        assert!(told[0].warning && told[0].note.len() <= 1_000);
        assert_eq!(transitions(&bad, &bad), []);
        let good = vec![
            condition(READY, ConditionStatus::True, "Ready"),
            condition(ACCEPTED, ConditionStatus::True, "Accepted"),
        ];
        assert_eq!(
            transitions(&bad, &good).iter().map(|told| (told.warning, told.reason.as_str())).collect::<Vec<_>>(),
            [(false, "Ready")]
        );
        assert_eq!(transitions(&good, &[condition(READY, ConditionStatus::False, "Starting")]), []);
    }
}
