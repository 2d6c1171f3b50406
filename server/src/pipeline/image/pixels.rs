//! Pixels in memory, and the way back from the model's pixels to those of the image that was sent.

use std::ops::Range;

/// An image: rows of pixels, each of one (grey) or three (red, green, blue) bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes of a pixel: 1 or 3.
    pub channels: usize,
    /// `width` × `height` × `channels` bytes.
    pub data: Vec<u8>,
}

impl Pixels {
    /// An image of one value.
    #[must_use]
    pub fn filled(width: u32, height: u32, channels: usize, value: u8) -> Self {
        Self { width, height, channels, data: vec![value; wide(width) * wide(height) * channels] }
    }

    /// Copies the part of `from` that begins at (`x`, `y`) and fits, to (`to_x`, `to_y`) of this image.
    pub fn paste(&mut self, from: &Pixels, (x, y): (u32, u32), (to_x, to_y): (u32, u32)) {
        let columns = from.width.saturating_sub(x).min(self.width.saturating_sub(to_x));
        let rows = from.height.saturating_sub(y).min(self.height.saturating_sub(to_y));
        let bytes = wide(columns) * self.channels;
        for row in 0..rows {
            let source = from.offset(x, y + row);
            let target = self.offset(to_x, to_y + row);
            self.data[target..target + bytes].copy_from_slice(&from.data[source..source + bytes]);
        }
    }

    /// The bytes of a row.
    #[must_use]
    pub fn row(&self, at: usize) -> &[u8] {
        let line = wide(self.width) * self.channels;
        &self.data[at * line..(at + 1) * line]
    }

    fn offset(&self, x: u32, y: u32) -> usize {
        (wide(y) * wide(self.width) + wide(x)) * self.channels
    }
}

/// Sizes of images fit 32 bits, and those fit any machine that this runs on.
pub(super) fn wide(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// Columns and rows of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Columns.
    pub columns: Range<u32>,
    /// Rows.
    pub rows: Range<u32>,
}

impl Part {
    /// All of an image of that size.
    #[must_use]
    pub fn all((width, height): (u32, u32)) -> Self {
        Self { columns: 0..width, rows: 0..height }
    }

    /// Width and height.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        let length = |range: &Range<u32>| range.end.saturating_sub(range.start);
        (length(&self.columns), length(&self.rows))
    }
}

/// Where a pixel of the model's input was in the image that was sent: (pixel − offset) × scale, x and y apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    /// Width and height of the image that was sent, upright.
    pub size: (u32, u32),
    offset: (f64, f64),
    scale: (f64, f64),
}

impl Geometry {
    /// Of an image that is still as it was sent.
    #[must_use]
    pub fn of(pixels: &Pixels) -> Self {
        Self { size: (pixels.width, pixels.height), offset: (0.0, 0.0), scale: (1.0, 1.0) }
    }

    /// The image was resized.
    pub fn resized(&mut self, from: (u32, u32), to: (u32, u32)) {
        let ratio = (f64::from(to.0) / f64::from(from.0), f64::from(to.1) / f64::from(from.1));
        self.offset = (self.offset.0 * ratio.0, self.offset.1 * ratio.1);
        self.scale = (self.scale.0 / ratio.0, self.scale.1 / ratio.1);
    }

    /// The image was moved to the right and down.
    pub fn moved(&mut self, right: i64, down: i64) {
        #[allow(clippy::cast_precision_loss)] // image sizes are far below 2^52
        let (right, down) = (right as f64, down as f64);
        self.offset = (self.offset.0 + right, self.offset.1 + down);
    }

    /// A point of the model's input in the image that was sent, within its borders.
    #[must_use]
    pub fn back(&self, x: f64, y: f64) -> (f64, f64) {
        let (width, height) = (f64::from(self.size.0), f64::from(self.size.1));
        (
            ((x - self.offset.0) * self.scale.0).clamp(0.0, width),
            ((y - self.offset.1) * self.scale.1).clamp(0.0, height),
        )
    }
}
