//! A number of replicas over time.

use serde::{Deserialize, Serialize};

/// From this moment on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Step {
    /// Seconds.
    pub at: f64,
    /// Replicas asked for.
    pub asked: u32,
    /// Replicas that take requests.
    pub ready: u32,
}

/// How things stand at a moment; before the first step as at the first.
#[must_use]
pub fn at(steps: &[Step], moment: f64) -> Step {
    let next = steps.partition_point(|step| step.at <= moment);
    steps.get(next.saturating_sub(1)).copied().unwrap_or_default()
}

/// Replica-hours asked for from 0 to `end`.
#[must_use]
pub fn hours(steps: &[Step], end: f64) -> f64 {
    let mut sum = f64::from(at(steps, 0.0).asked) * steps.first().map_or(end, |first| first.at.clamp(0.0, end));
    for (index, step) in steps.iter().enumerate() {
        let until = steps.get(index + 1).map_or(end, |next| next.at).clamp(0.0, end);
        sum += f64::from(step.asked) * (until - step.at.clamp(0.0, end));
    }
    sum / 3_600.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas() {
        let step = |at, asked| Step { at, asked, ready: 0 };
        for (steps, seconds) in [
            (vec![step(0.0, 2)], 200.0),
            (vec![step(0.0, 1), step(40.0, 3)], 220.0),
            // The first was seen late, an earlier one before the run, the last after it.
            (vec![step(10.0, 1)], 100.0),
            (vec![step(-5.0, 4), step(50.0, 1), step(120.0, 9)], 250.0),
        ] {
            assert!((hours(&steps, 100.0) * 3_600.0 - seconds).abs() < 1e-9, "{steps:?}");
        }
        assert_eq!(at(&[step(0.0, 1), step(40.0, 3)], 40.0).asked, 3);
        assert_eq!(at(&[step(5.0, 1)], 1.0).asked, 1);
    }
}
