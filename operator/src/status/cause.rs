//! The one cause that explains most: of many pods' troubles the one that a person should hear first.

use super::Outcome;
use crate::observe::Observed;
use crate::pods::Trouble;
use crate::scale::ScaleState;
use millrace_crds::conditions::reason;

/// Why pods don't serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// One of the condition reasons.
    pub reason: &'static str,
    /// A sentence, with how many pods it concerns.
    pub message: String,
    /// How often the server ended.
    pub count: u32,
    /// The revision that it befell.
    pub revision: String,
    /// Whether the server itself told it.
    pub of_server: bool,
    /// Whether it won't pass without somebody's help.
    pub lasting: bool,
}

/// Reasons that a server tells.
const OF_SERVER: [&str; 9] = [
    reason::DIGEST_MISMATCH,
    reason::FETCH_FAILED,
    reason::MODEL_INVALID,
    reason::PIPELINE_MISMATCH,
    reason::PROVIDER_UNAVAILABLE,
    reason::UNKNOWN_STORE,
    reason::INVALID,
    reason::OUT_OF_MEMORY,
    reason::CRASH_LOOP,
];

/// The cause: troubles of the newest revision first, what a server says before what the scheduler says.
pub(crate) fn of(observed: &Observed, outcome: &Outcome<'_>) -> Option<Cause> {
    let newest = match outcome {
        Outcome::Done(plan, _) => plan.newest.name.as_str(),
        Outcome::Refused(_) => "",
    };
    let troubled =
        || observed.pods.iter().filter(|pod| !pod.terminating).filter_map(|pod| Some((pod, pod.trouble.as_ref()?)));
    let rank = |reason: &str| u8::from(reason == reason::UNSCHEDULABLE) + 2 * u8::from(reason == reason::STARTING);
    let (pod, trouble) =
        troubled().min_by_key(|(pod, trouble)| (pod.revision != newest, rank(trouble.reason), pod.name.clone()))?;
    let alike = troubled().filter(|(other, same)| same.reason == trouble.reason && other.revision == pod.revision);
    let (count, of) = (
        alike.count(),
        observed.pods.iter().filter(|other| !other.terminating && other.revision == pod.revision).count(),
    );
    let capacity = match outcome {
        Outcome::Done(plan, _) if trouble.reason == reason::UNSCHEDULABLE => format!(" ({})", plan.places.summary()),
        _ => String::new(),
    };
    Some(Cause {
        reason: trouble.reason,
        message: format!("{}{capacity}; {count} of {of} pods", trouble.message.trim_end_matches(['.', ' '])),
        count: trouble.count,
        revision: pod.revision.clone(),
        of_server: OF_SERVER.contains(&trouble.reason),
        lasting: lasts(trouble),
    })
}

/// Whether it won't pass without somebody's help.
fn lasts(trouble: &Trouble) -> bool {
    trouble.reason != reason::UNSCHEDULABLE && trouble.reason != reason::STARTING
}

/// What keeps the pods of a revision from serving, and won't pass.
pub(crate) fn lasting<'o>(observed: &'o Observed, revision: &str) -> Option<&'o Trouble> {
    let pods = observed.pods.iter().filter(|pod| !pod.terminating && pod.revision == revision);
    pods.filter_map(|pod| pod.trouble.as_ref()).find(|trouble| lasts(trouble))
}

/// No pod, because the scaler found room for none: its sentence has the counts.
pub(crate) fn no_room(outcome: &Outcome<'_>, scale: Option<&ScaleState>) -> Option<Cause> {
    let (Outcome::Done(plan, _), Some(scale)) = (outcome, scale) else { return None };
    (scale.cause == millrace_scaler::Cause::NoRoom).then(|| Cause {
        reason: reason::UNSCHEDULABLE,
        message: scale.reason.clone(),
        count: 0,
        revision: plan.newest.name.clone(),
        of_server: false,
        lasting: false,
    })
}

/// A text of at most `most` characters.
pub(crate) fn bounded(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(std::iter::once('…')).collect()
}
