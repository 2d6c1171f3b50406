//! How much of what was found is what should have been: boxes in an image, stretches of audio.

use crate::pipeline::value::{Detection, Segment};

/// Intersection over union from which on two boxes are one.
const SAME: f32 = 0.5;

/// How many of `ours` are among `theirs`: each is matched once, the best of ours first.
#[must_use]
pub fn matched(ours: &[Detection], theirs: &[Detection]) -> usize {
    let mut left: Vec<&Detection> = theirs.iter().collect();
    let mut is_there = |found: &&Detection| {
        let alike = left.iter().enumerate().filter(|(_, one)| one.label == found.label);
        let shares = alike.map(|(at, one)| (at, share(found.corners, one.corners)));
        let best = shares.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, share)| *share >= SAME);
        best.map(|(at, _)| left.swap_remove(at)).is_some()
    };
    ours.iter().filter(|found| is_there(found)).count()
}

/// Intersection over union of two boxes: left, top, right, bottom.
fn share(a: [f32; 4], b: [f32; 4]) -> f32 {
    let area = |[left, top, right, bottom]: [f32; 4]| (right - left).max(0.0) * (bottom - top).max(0.0);
    let common = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    let either = area(a) + area(b) - common;
    if either > 0.0 { common / either } else { 0.0 }
}

/// Seconds in both, and seconds in either. Stretches of one answer don't overlap.
#[must_use]
pub fn seconds(ours: &[Segment], theirs: &[Segment]) -> (f64, f64) {
    let length = |stretches: &[Segment]| stretches.iter().map(|one| one.end - one.start).sum::<f64>();
    let both = |a: &Segment, b: &Segment| (a.end.min(b.end) - a.start.max(b.start)).max(0.0);
    let common: f64 = ours.iter().flat_map(|a| theirs.iter().map(move |b| both(a, b))).sum();
    (common, length(ours) + length(theirs) - common)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_matched_once_by_label_and_place() {
        let found = |label: &str, corners| Detection { label: label.to_owned(), score: 0.5, corners };
        let theirs = [found("cat", [0.0, 0.0, 10.0, 10.0]), found("dog", [20.0, 0.0, 30.0, 10.0])];
        for (ours, expected) in [
            (vec![], 0),
            (theirs.to_vec(), 2),
            (vec![found("cat", [0.0, 0.0, 10.0, 6.0])], 1),
            (vec![found("cat", [0.0, 0.0, 10.0, 4.0])], 0),
            (vec![found("dog", [0.0, 0.0, 10.0, 10.0])], 0),
            (vec![found("cat", [0.0, 0.0, 10.0, 9.0]), found("cat", [0.0, 0.0, 10.0, 10.0])], 1),
            (vec![found("cat", [5.0, 5.0, 5.0, 5.0])], 0),
        ] {
            assert_eq!(matched(&ours, &theirs), expected, "{ours:?}");
        }
    }

    #[test]
    fn stretches_share_seconds() {
        let stretch = |start, end| Segment { start, end };
        let theirs = [stretch(0.0, 2.0), stretch(4.0, 6.0)];
        assert_eq!(seconds(&[stretch(1.0, 5.0)], &theirs), (2.0, 6.0));
        assert_eq!(seconds(&[], &theirs), (0.0, 4.0));
        assert_eq!(seconds(&theirs, &theirs), (4.0, 4.0));
    }
}
