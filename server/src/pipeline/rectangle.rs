//! The smallest rectangle around points, at whatever angle. Plane geometry, no more.

/// A point: x to the right, y down.
pub type Point = [f64; 2];

/// A rectangle at any angle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rectangle {
    /// Its corners, one after the other around it.
    pub corners: [Point; 4],
    /// Its sides.
    pub sides: [f64; 2],
}

impl Rectangle {
    /// The rectangle of the smallest area around the points; `None`: they lie on a line.
    #[must_use]
    pub fn around(points: &[Point]) -> Option<Self> {
        let hull = hull(points);
        if hull.len() < 3 {
            return None;
        }
        // One of its sides lies along one of the hull's.
        let edges = hull.iter().zip(hull.iter().cycle().skip(1));
        edges
            .filter_map(|(from, to)| Self::along(&hull, minus(*to, *from)))
            .min_by(|a, b| a.area().total_cmp(&b.area()))
    }

    fn along(hull: &[Point], direction: Point) -> Option<Self> {
        let length = direction[0].hypot(direction[1]);
        let right = [direction[0] / length, direction[1] / length];
        let down = [-right[1], right[0]];
        let span = |axis: Point| {
            let along = hull.iter().map(|point| point[0] * axis[0] + point[1] * axis[1]);
            along.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)))
        };
        let ((left, end), (top, bottom)) = (span(right), span(down));
        let corner = |x: f64, y: f64| [x * right[0] + y * down[0], x * right[1] + y * down[1]];
        let corners = [corner(left, top), corner(end, top), corner(end, bottom), corner(left, bottom)];
        (length > 0.0).then_some(Self { corners, sides: [end - left, bottom - top] })
    }

    /// Its area.
    #[must_use]
    pub fn area(&self) -> f64 {
        self.sides[0] * self.sides[1]
    }

    /// The length of its border.
    #[must_use]
    pub fn perimeter(&self) -> f64 {
        2.0 * (self.sides[0] + self.sides[1])
    }

    /// Its shorter side.
    #[must_use]
    pub fn shorter(&self) -> f64 {
        self.sides[0].min(self.sides[1])
    }
}

/// Points of a rectangle whose sides moved outwards and whose corners are round, in whole pixels: an arc of points around
/// each corner, none of whose chords is further from it than a quarter of a pixel.
#[must_use]
pub fn grown(rectangle: &[Point; 4], by: f64) -> Vec<Point> {
    if by <= 0.0 {
        return rectangle.to_vec();
    }
    let step = 2.0 * (1.0 - 0.25 / by).max(-1.0).acos();
    let outwards = |at: usize| {
        let side = minus(rectangle[(at + 1) % 4], rectangle[at % 4]);
        (-side[0]).atan2(side[1])
    };
    let arc = |at: usize| {
        let (from, to) = (outwards(at + 3), outwards(at));
        let turn = (to - from + std::f64::consts::PI).rem_euclid(std::f64::consts::TAU) - std::f64::consts::PI;
        // A quarter of a circle has few points.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let count = (turn.abs() / step).round().max(1.0) as u32;
        let angles = (0..count).map(move |number| from + f64::from(number) * step * turn.signum()).chain([to]);
        angles.map(move |angle| {
            [(rectangle[at][0] + by * angle.cos()).round(), (rectangle[at][1] + by * angle.sin()).round()]
        })
    };
    (0..4).flat_map(arc).collect()
}

/// Corners with the clock from the upper left one: of the two on the left the upper one.
#[must_use]
pub fn clockwise(mut corners: [Point; 4]) -> [Point; 4] {
    corners.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let [a, b, c, d] = corners;
    let upper_first = |a: Point, b: Point| if b[1] < a[1] { (b, a) } else { (a, b) };
    let ((upper_left, lower_left), (upper_right, lower_right)) = (upper_first(a, b), upper_first(c, d));
    [upper_left, upper_right, lower_right, lower_left]
}

fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

/// The corners of the convex hull, in order. Andrew's monotone chain.
fn hull(points: &[Point]) -> Vec<Point> {
    let mut points = points.to_vec();
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    points.dedup();
    let half = |points: &mut dyn Iterator<Item = Point>| {
        let mut chain: Vec<Point> = Vec::new();
        for point in points {
            while let [.., a, b] = chain[..]
                && cross(minus(b, a), minus(point, a)) <= 0.0
            {
                chain.pop();
            }
            chain.push(point);
        }
        chain.pop();
        chain
    };
    let mut corners = half(&mut points.iter().copied());
    corners.extend(half(&mut points.iter().rev().copied()));
    corners
}

fn cross(a: Point, b: Point) -> f64 {
    a[0] * b[1] - a[1] * b[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn upright_and_turned() {
        let upright = Rectangle::around(&[[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 2.0], [1.0, 1.0]]).unwrap();
        assert_eq!((upright.area(), upright.perimeter(), upright.shorter()), (8.0, 12.0, 2.0));
        assert_eq!(clockwise(upright.corners), [[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 2.0]]);
        let diamond = Rectangle::around(&[[1.0, 0.0], [2.0, 1.0], [1.0, 2.0], [0.0, 1.0]]).unwrap();
        assert!((diamond.area() - 2.0).abs() < 1e-9, "{diamond:?}");
        let sides = [[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 2.0]];
        for by in [0.0, 0.1, 1.0, 7.3] {
            let wide = Rectangle::around(&grown(&sides, by)).unwrap();
            let (by, [left, top]) =
                (by.round(), wide.corners.iter().fold([9.0_f64; 2], |a, b| [a[0].min(b[0]), a[1].min(b[1])]));
            assert_eq!((wide.area(), left, top), ((4.0 + 2.0 * by) * (2.0 + 2.0 * by), -by, -by), "by {by}");
        }
        assert_eq!(Rectangle::around(&[[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), None);
        assert_eq!(Rectangle::around(&[]), None);
    }

    proptest! {
        #[test]
        fn all_points_are_within(points in proptest::collection::vec((0i32..50, 0i32..50), 3..40)) {
            let points: Vec<Point> = points.into_iter().map(|(x, y)| [f64::from(x), f64::from(y)]).collect();
            if let Some(found) = Rectangle::around(&points) {
                let bounds = |axis: usize| {
                    let values = points.iter().map(|point| point[axis]);
                    values.clone().fold(f64::NEG_INFINITY, f64::max) - values.fold(f64::INFINITY, f64::min)
                };
                prop_assert!(found.area() <= bounds(0) * bounds(1) + 1e-6, "an upright one is smaller");
                for point in &points {
                    for at in 0..4 {
                        let (from, to) = (found.corners[at], found.corners[(at + 1) % 4]);
                        prop_assert!(cross(minus(to, from), minus(*point, from)) > -1e-6, "{point:?} is outside of {found:?}");
                    }
                }
            }
        }
    }
}
