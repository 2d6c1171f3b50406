//! Boxes of a detector: the best of those that overlap, in the coordinates of the image that was sent.

use super::{
    Target,
    classes::{Classes, Labels},
    image::Geometry,
    value::Detection,
};
use crate::protocol::tensor::Signature;
use millrace_crds::{self as crds, BoxFormat};
use std::cmp::Reverse;

/// Candidates that are looked at, best first: more are never shown, and each is compared to all that are kept.
const MAX_CANDIDATES: usize = 30_000;

/// A nonMaxSuppression step that fits the model's outputs.
pub struct NonMaxStep {
    iou: f64,
    least: f64,
    most: usize,
    labels: Option<Labels>,
    corners: bool,
    transposed: bool,
    objectness: bool,
    agnostic: bool,
    scores: Option<usize>,
    /// Numbers of a box in the first output, and in the second; `None`: known only when they come.
    widths: (Option<usize>, Option<usize>),
}

/// A box in pixels of the model's input.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    class: usize,
    score: f32,
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
}

impl NonMaxStep {
    /// Checks the step against the model. `scores` is the place of an output with the scores alone.
    ///
    /// # Errors
    /// A sentence that names both sides.
    pub fn compile(
        spec: &crds::NonMaxSuppression,
        boxes: usize,
        scores: Option<usize>,
        target: &Target<'_>,
    ) -> Result<Self, String> {
        let outputs = &target.signature.outputs;
        let width = |at: usize| {
            let shape = &outputs[at].shape;
            let place = shape.len().checked_sub(if spec.transposed { 2 } else { 1 })?;
            usize::try_from(*shape.get(place)?).ok()
        };
        let gives = Signature::describe(outputs);
        let widths = (width(boxes), scores.and_then(width));
        let before = 4 + usize::from(spec.objectness);
        let rank = outputs[boxes].shape.len();
        if !(2..=3).contains(&rank) || scores.is_some_and(|at| outputs[at].shape.len() != rank) {
            return Err(format!(
                "postprocess: nonMaxSuppression takes a row of numbers for each box; the model gives {gives}"
            ));
        }
        let fits = match (widths.0, scores) {
            (Some(width), Some(_)) => width == 4,
            (Some(width), None) => width > before,
            (None, Some(_)) => true,
            // Where a box ends isn't known.
            (None, None) => false,
        };
        if !fits || (scores.is_some() && spec.objectness) {
            let takes =
                if scores.is_some() { "4 numbers".to_owned() } else { format!("{before} numbers and its scores") };
            return Err(format!("postprocess: nonMaxSuppression takes {takes} for each box; the model gives {gives}"));
        }
        let classes = if scores.is_some() { widths.1 } else { widths.0.map(|width| width - before) };
        let labels = spec.labels.as_ref();
        let labels = labels
            .map(|labels| Classes::check(labels, classes.and_then(|n| i64::try_from(n).ok()), target))
            .transpose()?;
        Ok(Self {
            iou: spec.iou,
            least: spec.score,
            most: usize::try_from(spec.max_boxes).unwrap_or(usize::MAX),
            labels,
            corners: spec.format == BoxFormat::Corners,
            transposed: spec.transposed,
            objectness: spec.objectness,
            agnostic: spec.class_agnostic,
            scores,
            widths: if scores.is_some() { (Some(4), widths.1) } else { widths },
        })
    }

    /// The output with the scores alone.
    #[must_use]
    pub fn scores(&self) -> Option<usize> {
        self.scores
    }

    /// What was found, best first; `None`: the numbers aren't what the model promised.
    #[must_use]
    pub fn detections(
        &self,
        boxes: &[f32],
        scores: Option<&[f32]>,
        geometry: Option<&Geometry>,
    ) -> Option<Vec<Detection>> {
        let candidates = self.candidates(boxes, scores)?;
        Some(self.keep(candidates).into_iter().map(|candidate| self.detection(candidate, geometry)).collect())
    }

    /// Boxes with a score that is high enough, best first.
    fn candidates(&self, boxes: &[f32], scores: Option<&[f32]>) -> Option<Vec<Candidate>> {
        let width = self.widths.0?;
        let boxes = Table::new(boxes, width, self.transposed)?;
        if boxes.rows == 0 {
            return Some(Vec::new());
        }
        let scores = match scores {
            Some(scores) => Some(self.score_table(scores, boxes.rows)?),
            None => None,
        };
        let first = 4 + usize::from(self.objectness);
        let mut found = Vec::new();
        for row in 0..boxes.rows {
            let (table, columns) = scores.as_ref().map_or((&boxes, first..width), |scores| (scores, 0..scores.width));
            let from = columns.start;
            let best =
                columns.map(|column| (column, table.at(row, column))).reduce(|a, b| if b.1 > a.1 { b } else { a })?;
            let score = if self.objectness { best.1 * boxes.at(row, 4) } else { best.1 };
            if f64::from(score) >= self.least {
                found.push(self.candidate([0, 1, 2, 3].map(|at| boxes.at(row, at)), best.0 - from, score));
            }
        }
        found.sort_by_key(|candidate| Reverse(Ordered(candidate.score)));
        found.truncate(MAX_CANDIDATES);
        Some(found)
    }

    /// As many rows as there are boxes.
    fn score_table<'a>(&self, scores: &'a [f32], rows: usize) -> Option<Table<'a>> {
        let width = self.widths.1.or_else(|| scores.len().checked_div(rows))?;
        Table::new(scores, width, self.transposed).filter(|table| table.rows == rows)
    }

    fn candidate(&self, [a, b, c, d]: [f32; 4], class: usize, score: f32) -> Candidate {
        if self.corners {
            return Candidate { class, score, left: a, top: b, right: c, bottom: d };
        }
        let (x, y) = (c / 2.0, d / 2.0);
        Candidate { class, score, left: a - x, top: b - y, right: a + x, bottom: b + y }
    }

    /// Each candidate unless a better one that is kept overlaps it too much.
    fn keep(&self, candidates: Vec<Candidate>) -> Vec<Candidate> {
        let mut kept: Vec<Candidate> = Vec::new();
        for candidate in candidates {
            if kept.len() == self.most {
                break;
            }
            let rival = |other: &Candidate| {
                (self.agnostic || other.class == candidate.class) && overlap(other, &candidate) > self.iou
            };
            if !kept.iter().any(rival) {
                kept.push(candidate);
            }
        }
        kept
    }

    fn detection(&self, candidate: Candidate, geometry: Option<&Geometry>) -> Detection {
        let back = |x: f32, y: f32| {
            let (x, y) = geometry.map_or((x.into(), y.into()), |geometry| geometry.back(x.into(), y.into()));
            // Coordinates in an image: 32 bits are enough.
            #[allow(clippy::cast_possible_truncation)]
            [x as f32, y as f32]
        };
        let [left, top] = back(candidate.left, candidate.top);
        let [right, bottom] = back(candidate.right, candidate.bottom);
        let label =
            self.labels.as_ref().map_or_else(|| candidate.class.to_string(), |labels| labels.name(candidate.class));
        Detection { label, score: candidate.score, corners: [left, top, right, bottom] }
    }
}

/// Scores that passed a threshold are numbers, so that their order is total.
#[derive(PartialEq)]
struct Ordered(f32);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Intersection over union, in 64 bits: a ratio of whole numbers is compared to the limit as it is written. Boxes without an
/// area have none.
fn overlap(a: &Candidate, b: &Candidate) -> f64 {
    let side = |low: f32, high: f32| (f64::from(high) - f64::from(low)).max(0.0);
    let area = |b: &Candidate| side(b.left, b.right) * side(b.top, b.bottom);
    let common = side(a.left.max(b.left), a.right.min(b.right)) * side(a.top.max(b.top), a.bottom.min(b.bottom));
    let union = area(a) + area(b) - common;
    if union > 0.0 { common / union } else { 0.0 }
}

/// Numbers of boxes, a row for each box or a row for each number.
struct Table<'a> {
    numbers: &'a [f32],
    rows: usize,
    width: usize,
    transposed: bool,
}

impl<'a> Table<'a> {
    fn new(numbers: &'a [f32], width: usize, transposed: bool) -> Option<Self> {
        (width > 0 && numbers.len().is_multiple_of(width)).then(|| Self {
            numbers,
            rows: numbers.len() / width,
            width,
            transposed,
        })
    }

    fn at(&self, row: usize, column: usize) -> f32 {
        self.numbers[if self.transposed { column * self.rows + row } else { row * self.width + column }]
    }
}

#[cfg(test)]
#[path = "boxes_tests.rs"]
mod tests;
