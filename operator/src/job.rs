//! InferenceJobs: accepted by the schema, refused in this release, and told so.

use crate::status::settle;
use crate::tenant::condition;
use kube::Resource;
use millrace_crds::conditions::{ACCEPTED, STALLED, reason};
use millrace_crds::{ConditionStatus, InferenceJob, InferenceJobStatus};

/// The status of every job.
#[must_use]
pub fn status(job: &InferenceJob, now: &str) -> InferenceJobStatus {
    let message = "this release doesn't run InferenceJobs: send the data to an InferenceService".to_owned();
    let mut conditions = vec![
        condition(ACCEPTED, ConditionStatus::False, reason::NOT_SUPPORTED, message.clone()),
        condition(STALLED, ConditionStatus::True, reason::NOT_SUPPORTED, message),
    ];
    let old = job.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    settle(&mut conditions, old, job.meta().generation, now);
    InferenceJobStatus { observed_generation: job.meta().generation, conditions }
}
