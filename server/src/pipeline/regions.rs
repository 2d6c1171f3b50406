//! A map of probabilities to the regions in it: neighbouring pixels that are likely enough, and the rectangle around them.

use super::{
    image::Geometry,
    rectangle::{Point, Rectangle, clockwise, grown},
    value::Region,
};
use crate::protocol::tensor::TensorSpec;
use millrace_crds as crds;

/// A regions step that fits the model's output.
pub struct RegionsStep {
    spec: crds::Regions,
}

/// A map of one image.
struct Map<'a> {
    scores: &'a [f32],
    width: usize,
    height: usize,
}

impl RegionsStep {
    /// Checks the step against the output that it takes.
    ///
    /// # Errors
    /// What it takes.
    pub fn compile(spec: &crds::Regions, output: &TensorSpec) -> Result<Self, String> {
        let map = matches!(output.shape[..], [_, channels, _, _] if channels < 0 || channels == 1);
        if !map {
            return Err("[batch, 1, height, width]".to_owned());
        }
        Ok(Self { spec: spec.clone() })
    }

    /// What was found, row by row; `None`: the numbers aren't a map of this size.
    #[must_use]
    pub fn regions(
        &self,
        scores: &[f32],
        (width, height): (usize, usize),
        geometry: Option<&Geometry>,
    ) -> Option<Vec<Region>> {
        if width.checked_mul(height) != Some(scores.len()) {
            return None;
        }
        let map = Map { scores, width, height };
        let outlines = outlines(self.mask(&map), width, usize::try_from(self.spec.max_regions).unwrap_or(usize::MAX));
        let mut found: Vec<Region> =
            outlines.iter().filter_map(|outline| self.region(outline, &map, geometry)).collect();
        self.sort(&mut found);
        Some(found)
    }

    /// Which pixels are in a region.
    fn mask(&self, map: &Map<'_>) -> Vec<bool> {
        let mut mask: Vec<bool> = map.scores.iter().map(|&score| f64::from(score) > self.spec.threshold).collect();
        if self.spec.dilate {
            // From the last pixel to the first: what is read hasn't grown yet.
            for at in (0..mask.len()).rev() {
                let (left, top) = (at % map.width > 0, at >= map.width);
                mask[at] |=
                    left && mask[at - 1] || top && mask[at - map.width] || left && top && mask[at - map.width - 1];
            }
        }
        mask
    }

    fn region(&self, outline: &[Point], map: &Map<'_>, geometry: Option<&Geometry>) -> Option<Region> {
        let least = f64::from(self.spec.min_side);
        let tight = Rectangle::around(outline).filter(|tight| tight.shorter() >= least)?;
        let score = map.mean(&tight);
        if score < self.spec.score {
            return None;
        }
        let margin = tight.area() * self.spec.expand / tight.perimeter();
        // Of whole pixels, as the reference takes them.
        let corners = tight.corners.map(|corner| corner.map(f64::trunc));
        let wide = Rectangle::around(&grown(&corners, margin)).filter(|wide| wide.shorter() >= least + 2.0)?;
        let sent = wide.corners.map(|[x, y]| {
            let (x, y) = geometry.map_or((x, y), |geometry| geometry.back(x, y));
            let within = |at: f64, side: u32| at.min(f64::from(side) - 1.0).max(0.0);
            let size = geometry.map_or((u32::MAX, u32::MAX), |geometry| geometry.size);
            [within(x.round_ties_even(), size.0), within(y.round_ties_even(), size.1)]
        });
        let corners = clockwise(sent);
        let side = |to: usize| (corners[to][0] - corners[0][0]).hypot(corners[to][1] - corners[0][1]).trunc();
        // Coordinates and probabilities: 32 bits are enough.
        #[allow(clippy::cast_possible_truncation)]
        let region = Region { score: score as f32, corners: corners.map(|corner| corner.map(|at| at as f32)) };
        (side(1).min(side(3)) > least).then_some(region)
    }

    /// Rows from top to bottom, each from left to right.
    fn sort(&self, regions: &mut [Region]) {
        let [x, y] = [0, 1].map(|axis| move |region: &Region| region.corners[0][axis]);
        #[allow(clippy::cast_precision_loss)] // at most 1,024
        let tolerance = self.spec.row_tolerance as f32;
        regions.sort_by(|a, b| y(a).total_cmp(&y(b)).then(x(a).total_cmp(&x(b))));
        for end in 1..regions.len() {
            for at in (0..end).rev() {
                let (left, right) = (&regions[at], &regions[at + 1]);
                if (y(right) - y(left)).abs() >= tolerance || x(right) >= x(left) {
                    break;
                }
                regions.swap(at, at + 1);
            }
        }
    }
}

impl Map<'_> {
    /// The mean probability in a rectangle, its border included.
    // Rows and columns are clamped to the map before they become whole numbers.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn mean(&self, rectangle: &Rectangle) -> f64 {
        let corners = rectangle.corners.map(|corner| corner.map(f64::trunc));
        let bound = |at: f64, side: usize| at.clamp(0.0, side.saturating_sub(1) as f64);
        let rows = corners.iter().map(|corner| bound(corner[1], self.height) as usize);
        let (Some(top), Some(bottom)) = (rows.clone().min(), rows.max()) else { return 0.0 };
        let (mut sum, mut count) = (0.0, 0u32);
        for row in top..=bottom {
            let Some((left, right)) = span(&corners, row as f64) else { continue };
            let (left, right) = (bound(left.round(), self.width) as usize, bound(right.round(), self.width) as usize);
            let line = &self.scores[row * self.width..][left..=right];
            sum += line.iter().map(|&score| f64::from(score)).sum::<f64>();
            count += u32::try_from(line.len()).unwrap_or(u32::MAX);
        }
        if count == 0 { 0.0 } else { sum / f64::from(count) }
    }
}

/// Where a line at a height goes into a convex polygon, and where it leaves it.
fn span(corners: &[Point; 4], row: f64) -> Option<(f64, f64)> {
    let mut found: Option<(f64, f64)> = None;
    for at in 0..4 {
        let (a, b) = (corners[at], corners[(at + 1) % 4]);
        if row < a[1].min(b[1]) || row > a[1].max(b[1]) {
            continue;
        }
        let crossing = |y: f64| a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]);
        let (one, other) = if a[1] == b[1] { (a[0], b[0]) } else { (crossing(row), crossing(row)) };
        let (low, high) = found.unwrap_or((one, one));
        found = Some((low.min(one).min(other), high.max(one).max(other)));
    }
    found
}

/// For each set of neighbours, straight or diagonal, both ends of each of its rows. At most `most` of them.
fn outlines(mut mask: Vec<bool>, width: usize, most: usize) -> Vec<Vec<Point>> {
    let mut found = Vec::new();
    let mut waiting = Vec::new();
    for start in 0..mask.len() {
        if found.len() == most {
            break;
        }
        if !std::mem::take(&mut mask[start]) {
            continue;
        }
        let mut rows: std::collections::BTreeMap<usize, (usize, usize)> = std::collections::BTreeMap::new();
        waiting.push(start);
        while let Some(at) = waiting.pop() {
            let (x, y) = (at % width, at / width);
            let ends = rows.entry(y).or_insert((x, x));
            *ends = (ends.0.min(x), ends.1.max(x));
            let columns = x.saturating_sub(1)..=(x + 1).min(width - 1);
            for next in (y.saturating_sub(1)..=y + 1).flat_map(|y| columns.clone().map(move |x| y * width + x)) {
                if mask.get_mut(next).is_some_and(std::mem::take) {
                    waiting.push(next);
                }
            }
        }
        // Sides of maps are far below 2^52.
        #[allow(clippy::cast_precision_loss)]
        let point = |x: usize, y: usize| [x as f64, y as f64];
        found.push(rows.into_iter().flat_map(|(y, (left, right))| [point(left, y), point(right, y)]).collect());
    }
    found
}

#[cfg(test)]
#[path = "regions_tests.rs"]
mod tests;
