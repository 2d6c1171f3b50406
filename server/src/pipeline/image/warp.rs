//! A quadrilateral of an image as an upright image: a perspective transform with cubic interpolation.

use super::pixels::{Pixels, wide};

/// Corners in pixels, with the clock from the upper left one: x and y.
pub type Quad = [[f32; 2]; 4];

/// Width and height of what is cut out: the longer one of opposite sides each, in whole pixels, one at least.
#[must_use]
pub fn crop_size(corners: &Quad) -> (u32, u32) {
    let side = |a: usize, b: usize| (corners[a][0] - corners[b][0]).hypot(corners[a][1] - corners[b][1]);
    // Corners lie in an image, whose sides fit 32 bits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let longer = |a: f32, b: f32| a.max(b).max(1.0) as u32;
    (longer(side(0, 1), side(2, 3)), longer(side(0, 3), side(1, 2)))
}

/// Cuts a quadrilateral out, of the size that [`crop_size`] tells. Beyond the border the last pixels go on.
#[must_use]
pub fn cut_out(image: &Pixels, corners: &Quad) -> Pixels {
    let (width, height) = crop_size(corners);
    let map = Map::new(corners, width, height);
    let mut data = Vec::with_capacity(wide(width) * wide(height) * image.channels);
    for y in 0..height {
        for x in 0..width {
            sample(image, map.at(f64::from(x), f64::from(y)), &mut data);
        }
    }
    Pixels { width, height, channels: image.channels, data }
}

/// From the upright rectangle to the quadrilateral: (ax + by + c) / (gx + hy + 1), (dx + ey + f) / (gx + hy + 1).
struct Map {
    numerators: [[f64; 3]; 2],
    denominator: [f64; 2],
}

impl Map {
    /// The rectangle's corners go to the quadrilateral's.
    fn new(corners: &Quad, width: u32, height: u32) -> Self {
        let corner = |at: usize| corners[at].map(f64::from);
        let [upper_left, upper_right, lower_right, lower_left] = [0, 1, 2, 3].map(corner);
        let minus = |a: [f64; 2], b: [f64; 2]| [a[0] - b[0], a[1] - b[1]];
        let (first, second) = (minus(upper_right, lower_right), minus(lower_left, lower_right));
        // By how much it isn't a parallelogram.
        let skew = minus(minus(upper_left, upper_right), minus(lower_left, lower_right));
        let cross = |a: [f64; 2], b: [f64; 2]| a[0] * b[1] - a[1] * b[0];
        let whole = cross(first, second);
        let (g, h) = if whole == 0.0 { (0.0, 0.0) } else { (cross(skew, second) / whole, cross(first, skew) / whole) };
        let (width, height) = (f64::from(width), f64::from(height));
        let row = |axis: usize| {
            let along = upper_right[axis] - upper_left[axis] + g * upper_right[axis];
            let down = lower_left[axis] - upper_left[axis] + h * lower_left[axis];
            [along / width, down / height, upper_left[axis]]
        };
        Self { numerators: [row(0), row(1)], denominator: [g / width, h / height] }
    }

    fn at(&self, x: f64, y: f64) -> [f64; 2] {
        let below = self.denominator[0] * x + self.denominator[1] * y + 1.0;
        self.numerators.map(|[a, b, c]| (a * x + b * y + c) / below)
    }
}

/// Weights of four pixels around a point between the second and the third: cubic, a = -0.75.
fn weights(at: f64) -> [f64; 4] {
    const A: f64 = -0.75;
    let near = |t: f64| ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0;
    let far = |t: f64| ((A * t - 5.0 * A) * t + 8.0 * A) * t - 4.0 * A;
    [far(1.0 + at), near(at), near(1.0 - at), far(2.0 - at)]
}

// Points are clamped to the image before they become whole numbers, and colours before they become bytes.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn sample(image: &Pixels, [x, y]: [f64; 2], out: &mut Vec<u8>) {
    let (columns, rows) = (i64::from(image.width), i64::from(image.height));
    let x = x.clamp(-2.0, f64::from(image.width) + 1.0);
    let y = y.clamp(-2.0, f64::from(image.height) + 1.0);
    let (across, down) = (weights(x - x.floor()), weights(y - y.floor()));
    let (left, top) = (x.floor() as i64 - 1, y.floor() as i64 - 1);
    let within = |at: i64, size: i64| usize::try_from(at.clamp(0, size - 1)).unwrap_or(0);
    let columns: [usize; 4] = [0, 1, 2, 3].map(|step| within(left + step, columns) * image.channels);
    let rows: [usize; 4] = [0, 1, 2, 3].map(|step| within(top + step, rows) * wide(image.width) * image.channels);
    for channel in 0..image.channels {
        let row = |from: usize| -> f64 {
            columns
                .iter()
                .zip(across)
                .map(|(column, weight)| f64::from(image.data[from + column + channel]) * weight)
                .sum()
        };
        let value: f64 = rows.iter().zip(down).map(|(from, weight)| row(*from) * weight).sum();
        out.push(value.round().clamp(0.0, 255.0) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Pixels {
        Pixels { width: 4, height: 3, channels: 1, data: (0..12).map(|value| value * 20).collect() }
    }

    #[test]
    fn an_upright_rectangle_is_copied() {
        let cut = cut_out(&image(), &[[1.0, 1.0], [3.0, 1.0], [3.0, 3.0], [1.0, 3.0]]);
        assert_eq!((cut.width, cut.height, &cut.data[..]), (2, 2, &[100, 120, 180, 200][..]));
    }

    #[test]
    fn corners_say_what_is_up() {
        // The lower left corner is called the upper left one: turned a quarter with the clock.
        let cut = cut_out(&image(), &[[0.0, 2.0], [0.0, 0.0], [3.0, 0.0], [3.0, 2.0]]);
        assert_eq!((cut.width, cut.height), (2, 3));
        assert_eq!(cut.data, [160, 80, 180, 100, 200, 120]);
    }

    #[test]
    fn a_trapeze_ends_in_its_corners() {
        let corners = [[0.0, 0.0], [30.0, 4.0], [28.0, 20.0], [2.0, 24.0]];
        let map = Map::new(&corners, 30, 20);
        for ((x, y), corner) in [(0.0, 0.0), (30.0, 0.0), (30.0, 20.0), (0.0, 20.0)].into_iter().zip(corners) {
            let found = map.at(x, y);
            let far = (found[0] - f64::from(corner[0])).hypot(found[1] - f64::from(corner[1]));
            assert!(far < 1e-9, "{x} {y}: {found:?} instead of {corner:?}");
        }
    }

    #[test]
    fn no_corners_panic() {
        for corners in [[[0.0; 2]; 4], [[-9.0, 1e9], [7.0, 7.0], [7.0, 7.0], [f32::NAN, 2.0]]] {
            let (width, height) = crop_size(&corners);
            if width < 100 && height < 100 {
                assert!(!cut_out(&image(), &corners).data.is_empty());
            }
        }
    }
}
