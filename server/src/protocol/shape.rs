//! Shapes from the wire: checked before anything is allocated.

use crate::error::Error;

/// More dimensions than any real model has.
pub const MAX_RANK: usize = 16;

/// Turns dimensions from the wire into a shape and its number of elements.
///
/// # Errors
/// Negative dimensions, too many of them, or a product that doesn't fit.
pub fn check(name: &str, dims: &[i64]) -> Result<(Vec<usize>, usize), Error> {
    if dims.len() > MAX_RANK {
        return Err(Error::invalid(format!(
            "input {name:?} has {} dimensions; at most {MAX_RANK} are taken",
            dims.len()
        )));
    }
    let mut shape = Vec::with_capacity(dims.len());
    for &dim in dims {
        let dim = usize::try_from(dim)
            .map_err(|_| Error::invalid(format!("input {name:?} has the dimension {dim}; dimensions are 0 or more")))?;
        shape.push(dim);
    }
    let count = count(&shape).ok_or_else(|| Error::invalid(format!("the shape of input {name:?} is too large")))?;
    Ok((shape, count))
}

/// Number of elements; `None` if it doesn't fit, dimensions of 0 notwithstanding: `[0, 2^63]` is refused too.
#[must_use]
pub fn count(shape: &[usize]) -> Option<usize> {
    let whole = shape.iter().filter(|&&dim| dim != 0).try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
    // Bytes are computed from the count later, by a factor of 8 at most.
    whole.checked_mul(8).filter(|&bytes| isize::try_from(bytes).is_ok())?;
    Some(if shape.contains(&0) { 0 } else { whole })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dim() -> impl Strategy<Value = i64> {
        prop_oneof![Just(0), Just(-1), Just(1 << 31), Just(i64::MAX), Just(i64::MIN), 0..64i64]
    }

    #[test]
    fn table() {
        for (dims, expected) in [
            (vec![], Some(1)),
            (vec![2, 3], Some(6)),
            (vec![0, 5], Some(0)),
            (vec![-1], None),
            (vec![1 << 31, 1 << 31], None),
            (vec![0, i64::MAX], None),
            (vec![i64::MAX], None),
            (vec![1; 17], None),
        ] {
            assert_eq!(check("x", &dims).ok().map(|(_, count)| count), expected, "{dims:?}");
        }
    }

    proptest! {
        #[test]
        fn count_agrees_with_wide_arithmetic(dims in proptest::collection::vec(dim(), 0..6)) {
            let wide = dims.iter().try_fold(1u128, |product, &dim| u128::try_from(dim).ok().and_then(|dim| product.checked_mul(dim)));
            if let Ok((shape, count)) = check("x", &dims) {
                prop_assert_eq!(Some(count as u128), wide);
                prop_assert_eq!(shape.len(), dims.len());
            } else {
                let factors: Option<u128> = dims.iter().filter(|&&dim| dim != 0)
                    .try_fold(1u128, |product, &dim| u128::try_from(dim).ok().and_then(|dim| product.checked_mul(dim)));
                let bytes = factors.and_then(|factors| factors.checked_mul(8));
                prop_assert!(bytes.is_none_or(|bytes| bytes > isize::MAX as u128));
            }
        }
    }
}
