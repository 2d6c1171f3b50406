//! Arithmetic on the numbers of one output.

use crate::protocol::data::{Data, Datatype};

/// Whether scores can be read from it.
#[must_use]
pub fn numeric(datatype: Datatype) -> bool {
    matches!(datatype, Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64)
}

/// Whether it holds whole numbers, such as classes.
#[must_use]
pub fn whole(datatype: Datatype) -> bool {
    matches!(datatype, Datatype::Int32 | Datatype::Int64)
}

/// The numbers as 32-bit floats. Whole ones are classes here, and far below where floats have gaps.
#[must_use]
pub fn floats(data: &Data) -> Option<Vec<f32>> {
    Some(match data {
        Data::Fp32(v) => v.clone(),
        Data::Fp16(v) => v.iter().map(|x| x.to_f32()).collect(),
        Data::Bf16(v) => v.iter().map(|x| x.to_f32()).collect(),
        #[allow(clippy::cast_possible_truncation)]
        Data::Fp64(v) => v.iter().map(|&x| x as f32).collect(),
        #[allow(clippy::cast_precision_loss)]
        Data::Int64(v) => v.iter().map(|&x| x as f32).collect(),
        #[allow(clippy::cast_precision_loss)]
        Data::Int32(v) => v.iter().map(|&x| x as f32).collect(),
        _ => return None,
    })
}

/// exp(x) / sum(exp(x)), from the largest down so that nothing overflows.
#[must_use]
pub fn softmax(mut v: Vec<f32>) -> Vec<f32> {
    let max = v.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    v.iter_mut().for_each(|x| *x = (*x - max).exp());
    let sum: f32 = v.iter().sum();
    v.iter_mut().for_each(|x| *x /= sum);
    v
}

/// 1 / (1 + exp(-x)).
#[must_use]
pub fn sigmoid(mut v: Vec<f32>) -> Vec<f32> {
    v.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp()));
    v
}

/// To length one; a vector of zeros stays.
#[must_use]
pub fn l2_normalize(mut v: Vec<f32>) -> Vec<f32> {
    let length = v.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        v.iter_mut().for_each(|x| *x /= length);
    }
    v
}
