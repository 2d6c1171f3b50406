//! Several requests' tensors as one, and its outputs as several again. Pure.

use crate::protocol::tensor::Tensor;

/// The number of rows that a batch is padded to: the next bucket, or itself.
#[must_use]
pub fn bucket(rows: usize, buckets: &[usize]) -> usize {
    buckets.iter().copied().filter(|&bucket| bucket >= rows).min().unwrap_or(rows)
}

/// Puts requests together row by row, and pads with zeros to `rows`. `None`: they don't fit each other.
#[must_use]
pub fn concat(mut requests: Vec<Vec<Tensor>>, rows: usize) -> Option<Vec<Tensor>> {
    if requests.len() == 1 && requests[0].iter().all(|tensor| tensor.shape.first() == Some(&rows)) {
        return requests.pop();
    }
    let all: usize = requests.iter().filter_map(|request| request.first()?.shape.first()).sum();
    let mut rest = requests.into_iter();
    let mut batch = rest.next()?;
    for tensor in &mut batch {
        // Room for all at once: to grow step by step would copy the first ones again and again.
        let row = width(tensor)?;
        tensor.data.reserve(row.saturating_mul(rows.max(all)).saturating_sub(tensor.data.len()));
    }
    for request in rest {
        if request.len() != batch.len() {
            return None;
        }
        for (whole, part) in batch.iter_mut().zip(request) {
            let same = whole.name == part.name && whole.shape.get(1..)? == part.shape.get(1..)?;
            if !same || !whole.data.append(&part.data, 0, part.data.len()) {
                return None;
            }
            whole.shape[0] += part.shape[0];
        }
    }
    for tensor in &mut batch {
        let row = width(tensor)?;
        tensor.shape[0] = rows.max(tensor.shape[0]);
        tensor.data.pad(row * tensor.shape[0]);
    }
    Some(batch)
}

/// Takes `rows` rows from `from` of each tensor. `None`: there are fewer.
#[must_use]
pub fn split(outputs: &[Tensor], from: usize, rows: usize) -> Option<Vec<Tensor>> {
    outputs
        .iter()
        .map(|tensor| {
            let to = from.checked_add(rows).filter(|to| *to <= *tensor.shape.first().unwrap_or(&0))?;
            let row = width(tensor)?;
            let mut shape = tensor.shape.clone();
            shape[0] = rows;
            Some(Tensor { name: tensor.name.clone(), shape, data: tensor.data.slice(from * row, to * row) })
        })
        .collect()
}

/// Elements in a row; `None` for a tensor whose data isn't what its shape says.
fn width(tensor: &Tensor) -> Option<usize> {
    let row: usize = tensor.shape.get(1..)?.iter().product();
    (tensor.data.len() == row * tensor.shape[0]).then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        arbitrary::{self, datatype, same},
        data::{Data, Datatype},
    };
    use proptest::{collection::vec, prelude::*};

    fn tensor(rows: usize, width: usize, from: i64) -> Tensor {
        let count = i64::try_from(rows * width).unwrap();
        Tensor { name: "x".to_owned(), shape: vec![rows, width], data: Data::Int64((from..from + count).collect()) }
    }

    #[test]
    fn buckets() {
        for (rows, expected) in [(1, 1), (2, 4), (4, 4), (5, 8), (9, 9)] {
            assert_eq!(bucket(rows, &[1, 4, 8]), expected);
        }
        assert_eq!(bucket(3, &[]), 3);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(concat(vec![vec![tensor(1, 2, 0)], vec![tensor(1, 3, 0)]], 2).is_none());
        assert!(concat(vec![vec![tensor(1, 2, 0)], vec![]], 2).is_none());
        assert!(split(&[tensor(2, 2, 0)], 1, 2).is_none());
        assert!(split(&[tensor(2, 2, 0)], usize::MAX, 2).is_none());
    }

    /// Requests for one model: each has the model's tensors, with rows of its own.
    fn requests() -> impl Strategy<Value = Vec<Vec<Tensor>>> {
        let tensors = vec((datatype(), vec(0usize..4, 0..4)), 1..4);
        (tensors, vec(0usize..4, 1..6)).prop_flat_map(|(tensors, rows)| {
            let request = |rows: &usize| {
                let one = |(at, (datatype, row)): (usize, &(Datatype, Vec<usize>))| {
                    arbitrary::tensor(format!("x{at}"), *datatype, [&[*rows], &row[..]].concat())
                };
                tensors.iter().enumerate().map(one).collect::<Vec<_>>()
            };
            rows.iter().map(request).collect::<Vec<_>>()
        })
    }

    proptest! {
        #[test]
        fn together_and_apart_again(requests in requests(), extra in 0usize..4) {
            let rows: Vec<usize> = requests.iter().map(|request| request[0].shape[0]).collect();
            let sum: usize = rows.iter().sum();
            let batch = concat(requests.clone(), sum + extra).unwrap();
            let mut from = 0;
            for (request, rows) in requests.iter().zip(rows) {
                let part = split(&batch, from, rows).unwrap();
                prop_assert!(same(&part, request), "{:?}\n{:?}", part, request);
                from += rows;
            }
            for padding in split(&batch, sum, extra).unwrap() {
                let mut zeros = padding.data.datatype().empty();
                zeros.pad(padding.data.len());
                prop_assert_eq!(padding.data.to_le(), zeros.to_le());
            }
            prop_assert!(split(&batch, sum, extra + 1).is_none());
        }
    }
}
