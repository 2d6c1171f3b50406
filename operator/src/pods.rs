//! What a pod tells of itself: whether it serves, and if not, why.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Event, Pod};
use kube::ResourceExt;
use millrace_crds::conditions::reason;
use millrace_crds::labels;
use serde::Deserialize;

/// A pod without container for so long hangs: its Events tell why.
const HANGS_AFTER_SECONDS: i64 = 2;

/// A server pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: String,
    /// Its pool.
    pub pool: String,
    /// It takes requests.
    pub ready: bool,
    /// It is on its way out.
    pub terminating: bool,
    /// Scheduled, and its container isn't made yet.
    pub creating: bool,
    /// When it was made.
    pub created: Option<k8s_openapi::jiff::Timestamp>,
    /// Why it doesn't serve.
    pub trouble: Option<Trouble>,
}

/// Why a pod doesn't serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One of the condition reasons.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
    /// Container restarts so far.
    pub count: u32,
}

impl PodView {
    /// Whether its Events should be looked at.
    #[must_use]
    pub fn hangs(&self, now: k8s_openapi::jiff::Timestamp) -> bool {
        self.creating
            && !self.terminating
            && self.created.is_some_and(|created| now.as_second() - created.as_second() >= HANGS_AFTER_SECONDS)
    }
}

/// Reads a pod.
#[must_use]
pub fn view(pod: &Pod) -> PodView {
    let label = |key: &str| pod.labels().get(key).cloned().unwrap_or_default();
    let condition = |kind: &str| {
        pod.status
            .as_ref()
            .and_then(|status| status.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind))
    };
    let ready = condition("Ready").is_some_and(|condition| condition.status == "True");
    let scheduled = condition("PodScheduled").is_some_and(|condition| condition.status == "True");
    let container = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref()?.first());
    let waiting = container.and_then(|container| container.state.as_ref()?.waiting.as_ref()?.reason.as_deref());
    let never_ran = container.is_none_or(|container| {
        container.restart_count == 0 && container.last_state.as_ref().is_none_or(|last| last.terminated.is_none())
    });
    let unschedulable = condition("PodScheduled")
        .filter(|condition| condition.status == "False" && condition.reason.as_deref() == Some("Unschedulable"));
    let refused = unschedulable.map(|condition| Trouble {
        reason: reason::UNSCHEDULABLE,
        message: condition.message.clone().unwrap_or_else(|| "the scheduler finds no node".to_owned()),
        count: 0,
    });
    PodView {
        name: pod.name_any(),
        revision: label(labels::REVISION),
        pool: label(labels::POOL),
        ready,
        terminating: pod.metadata.deletion_timestamp.is_some(),
        creating: scheduled
            && never_ran
            && matches!(waiting, None | Some("ContainerCreating" | "PodInitializing"))
            && container.is_none_or(|container| container.state.as_ref().is_none_or(|state| state.running.is_none())),
        created: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
        trouble: if ready { None } else { refused.or_else(|| container.and_then(trouble_of_container)) },
    }
}

fn trouble_of_container(container: &ContainerStatus) -> Option<Trouble> {
    let count = u32::try_from(container.restart_count).unwrap_or(0);
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let trouble = |reason: &'static str, message: String| Some(Trouble { reason, message, count });
    match waiting.and_then(|waiting| waiting.reason.as_deref()) {
        Some("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull") => {
            let detail = waiting.and_then(|waiting| waiting.message.clone()).unwrap_or_default();
            return trouble(reason::IMAGE_PULL_FAILED, format!("the server's image can't be pulled: {detail}"));
        }
        Some("CreateContainerConfigError") => {
            let detail = waiting.and_then(|waiting| waiting.message.clone()).unwrap_or_default();
            return trouble(reason::MISSING_REFERENCE, detail);
        }
        _ => {}
    }
    let ended = |state: &Option<ContainerState>| state.as_ref().and_then(|state| state.terminated.clone());
    let ended = ended(&container.state).or_else(|| ended(&container.last_state))?;
    let (reason, message) = trouble_of_end(&ended);
    trouble(reason, message)
}

/// What a server writes before it ends.
#[derive(Deserialize)]
struct LastWords {
    reason: String,
    message: String,
}

fn trouble_of_end(ended: &ContainerStateTerminated) -> (&'static str, String) {
    if ended.reason.as_deref() == Some("OOMKilled") {
        return (reason::OUT_OF_MEMORY, "the server was killed for memory: raise runtime.resources.memory".to_owned());
    }
    let words = ended.message.as_deref().and_then(|text| serde_json::from_str::<LastWords>(text.trim()).ok());
    match words.and_then(|words| Some((known(&words.reason)?, words.message))) {
        Some(told) => told,
        None => (reason::CRASH_LOOP, format!("the server ended with code {}; see its log", ended.exit_code)),
    }
}

/// Reasons come from a closed set: what a container writes must not choose words for metrics and scripts.
fn known(word: &str) -> Option<&'static str> {
    [
        reason::DIGEST_MISMATCH,
        reason::FETCH_FAILED,
        reason::MODEL_INVALID,
        reason::PIPELINE_MISMATCH,
        reason::PROVIDER_UNAVAILABLE,
        reason::UNKNOWN_STORE,
        reason::INVALID,
        reason::MISSING_REFERENCE,
        reason::OUT_OF_MEMORY,
    ]
    .into_iter()
    .find(|known| *known == word)
}

/// What an Event of a pod tells.
#[must_use]
pub fn trouble_of_event(event: &Event) -> Option<Trouble> {
    let text = event.message.clone().unwrap_or_default();
    let count = event.count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
    match event.reason.as_deref()? {
        "FailedMount" => {
            let (reason, message) = mount_failure(&text);
            Some(Trouble { reason, message, count })
        }
        "FailedCreatePodSandBox" | "FailedAttachVolume" => {
            Some(Trouble { reason: reason::STARTING, message: text, count })
        }
        _ => None,
    }
}

/// What is missing and what the kubelet will try again are told by the same event, and differ in their words alone: of
/// `MountVolume.SetUp failed for volume "credentials" : secret "models" not found` the last part says it.
fn mount_failure(text: &str) -> (&'static str, String) {
    let cause = text.split_once(" : ").map_or(text, |(_, cause)| cause);
    if ["not found", "non-existent"].iter().any(|words| cause.contains(words)) {
        let told = format!("a volume can't be mounted: {cause}; create what is missing in the service's namespace");
        return (reason::MISSING_REFERENCE, told);
    }
    (reason::STARTING, format!("a volume isn't mounted yet: {cause}; the node tries again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn trouble(status: serde_json::Value) -> Option<(&'static str, String)> {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap();
        view(&pod).trouble.map(|trouble| (trouble.reason, trouble.message))
    }

    #[test]
    fn causes() {
        let ended = |terminated: serde_json::Value| json!({"containerStatuses": [{"name": "server", "image": "i", "imageID": "", "ready": false, "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": terminated}}]});
        let waiting = |word: &str| json!({"containerStatuses": [{"name": "server", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": word, "message": "so it is"}}}]});
        for (status, reason, says) in [
            (
                json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}),
                reason::UNSCHEDULABLE,
                "0/3",
            ),
            (waiting("ImagePullBackOff"), reason::IMAGE_PULL_FAILED, "so it is"),
            (waiting("CreateContainerConfigError"), reason::MISSING_REFERENCE, "so it is"),
            (ended(json!({"exitCode": 137, "reason": "OOMKilled"})), reason::OUT_OF_MEMORY, "memory"),
            (
                ended(
                    json!({"exitCode": 1, "message": "{\"reason\":\"DigestMismatch\",\"message\":\"it is other bytes\"}"}),
                ),
                reason::DIGEST_MISMATCH,
                "other bytes",
            ),
            (
                ended(json!({"exitCode": 1, "message": "{\"reason\":\"Whatever\",\"message\":\"x\"}"})),
                reason::CRASH_LOOP,
                "code 1",
            ),
        ] {
            let (found, message) = trouble(status.clone()).unwrap_or_else(|| panic!("{status}"));
            assert_eq!(found, reason);
            assert!(message.contains(says), "{message}");
        }
        assert_eq!(trouble(json!({"conditions": [{"type": "Ready", "status": "True"}]})), None);
    }

    #[test]
    fn what_is_missing_is_told_by_an_event_and_what_takes_a_while_is_not_held_against_the_spec() {
        let told = |cause: &str| {
            let message = format!("MountVolume.SetUp failed for volume \"credentials\" : {cause}");
            let event = json!({"metadata": {}, "involvedObject": {}, "reason": "FailedMount", "message": message});
            trouble_of_event(&serde_json::from_value(event).unwrap()).unwrap()
        };
        for cause in ["secret \"models\" not found", "references non-existent secret key: token"] {
            let trouble = told(cause);
            assert_eq!(trouble.reason, reason::MISSING_REFERENCE);
            assert!(trouble.message.contains(cause), "{}", trouble.message);
        }
        let busy = told("failed to sync secret cache: timed out waiting for the condition");
        assert_eq!(busy.reason, reason::STARTING, "a node that is busy: {}", busy.message);
    }
}
