//! Vectors of tokens to one vector.

use std::ops::Range;

/// The mean over the tokens of a row that aren't padding. `row` holds `width` numbers for each token.
#[must_use]
pub fn mean(row: &[f32], width: usize, span: Range<usize>) -> Vec<f32> {
    let mut sum = vec![0f32; width];
    let count = span.len();
    for token in row.chunks_exact(width.max(1)).skip(span.start).take(count) {
        for (sum, value) in sum.iter_mut().zip(token) {
            *sum += value;
        }
    }
    // Lengths of texts are exact as floats. No token at all: zeros, as in the reference.
    #[allow(clippy::cast_precision_loss)]
    let divisor = count.max(1) as f32;
    sum.iter_mut().for_each(|sum| *sum /= divisor);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_has_no_part() {
        let row = [1.0, 2.0, 3.0, 4.0, 100.0, f32::NAN];
        assert_eq!(mean(&row, 2, 0..2), [2.0, 3.0]);
        assert_eq!(mean(&row, 2, 1..2), [3.0, 4.0]);
        assert_eq!(mean(&row, 2, 0..0), [0.0, 0.0]);
    }
}
