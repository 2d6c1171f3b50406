//! Images turned by quarters.

use super::pixels::{Pixels, wide};
use millrace_crds::Turn;

/// The image, turned.
#[must_use]
pub fn turn(image: &Pixels, by: Turn) -> Pixels {
    let (width, height) = (wide(image.width), wide(image.height));
    let mut data = Vec::with_capacity(image.data.len());
    let mut take = |x: usize, y: usize| {
        let from = (y * width + x) * image.channels;
        data.extend_from_slice(&image.data[from..from + image.channels]);
    };
    match by {
        Turn::Half => (0..height).rev().for_each(|y| (0..width).rev().for_each(|x| take(x, y))),
        Turn::Left => (0..width).rev().for_each(|x| (0..height).for_each(|y| take(x, y))),
        Turn::Right => (0..width).for_each(|x| (0..height).rev().for_each(|y| take(x, y))),
    }
    let (width, height) = if by == Turn::Half { (image.width, image.height) } else { (image.height, image.width) };
    Pixels { width, height, channels: image.channels, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_quarters() {
        // 1 2 3
        // 4 5 6
        let image = Pixels { width: 3, height: 2, channels: 1, data: vec![1, 2, 3, 4, 5, 6] };
        for (by, size, data) in [
            (Turn::Half, (3, 2), [6, 5, 4, 3, 2, 1]),
            (Turn::Left, (2, 3), [3, 6, 2, 5, 1, 4]),
            (Turn::Right, (2, 3), [4, 1, 5, 2, 6, 3]),
        ] {
            let turned = turn(&image, by);
            assert_eq!(((turned.width, turned.height), &turned.data[..]), (size, &data[..]), "{by:?}");
        }
        let colours = Pixels { width: 1, height: 2, channels: 3, data: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(turn(&colours, Turn::Half).data, [4, 5, 6, 1, 2, 3], "a pixel stays whole");
    }
}
