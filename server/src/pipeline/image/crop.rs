//! The middle of an image, as torchvision's `center_crop` cuts it.

use super::pixels::{Geometry, Part, Pixels};
use millrace_crds::CentreCrop;
use std::ops::Range;

/// Cuts the middle out; what a smaller image doesn't cover is black.
#[must_use]
pub fn centre_crop(spec: &CentreCrop, pixels: &Pixels, geometry: &mut Geometry) -> Pixels {
    let (from_x, to_x) = place(pixels.width, spec.width);
    let (from_y, to_y) = place(pixels.height, spec.height);
    geometry.moved(i64::from(to_x) - i64::from(from_x), i64::from(to_y) - i64::from(from_y));
    let mut cut = Pixels::filled(spec.width, spec.height, pixels.channels, 0);
    cut.paste(pixels, (from_x, from_y), (to_x, to_y));
    cut
}

/// What the cut keeps of an image of that size.
#[must_use]
pub fn kept(spec: &CentreCrop, (width, height): (u32, u32)) -> Part {
    let keep = |side: u32, cut: u32| -> Range<u32> {
        let (from, _) = place(side, cut);
        from..side.min(from + cut)
    };
    Part { columns: keep(width, spec.width), rows: keep(height, spec.height) }
}

/// Where the cut begins in the image, and where the image begins in the cut. Halves go to the even number.
fn place(side: u32, cut: u32) -> (u32, u32) {
    if side < cut {
        return (0, (cut - side) / 2);
    }
    let (half, odd) = ((side - cut) / 2, (side - cut) % 2);
    (half + (odd & half), 0)
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn halves_go_to_the_even_number() {
        for (side, cut, expected) in [
            (10, 4, (3, 0)),
            (5, 4, (0, 0)),
            (7, 4, (2, 0)),
            (9, 4, (2, 0)),
            (4, 4, (0, 0)),
            (3, 8, (0, 2)),
            (4, 8, (0, 2)),
        ] {
            assert_eq!(place(side, cut), expected, "{side} {cut}");
        }
    }
}
