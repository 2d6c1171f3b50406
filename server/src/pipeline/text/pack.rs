//! Rows of tokens to tensors: padded to the next bucket, those of one bucket together.

use super::{
    Padding, Tokens,
    signature::{Input, Inputs, Role},
};
use crate::protocol::{data::Data, tensor::Tensor};
use std::ops::Range;

/// Rows that go to the model together.
#[derive(Debug)]
pub struct Packed {
    /// Tensors of all rows.
    pub inputs: Vec<Tensor>,
    /// Which text of the request each row is.
    pub texts: Vec<usize>,
    /// Where the tokens of each row are; the rest is padding.
    pub spans: Vec<Range<usize>>,
}

/// Packs texts, in the order of buckets.
pub fn pack(texts: &[Tokens], rows: usize, buckets: &[usize], padding: Padding, inputs: &Inputs) -> Vec<Packed> {
    let longest = buckets.last().copied().unwrap_or(0);
    let bucket = |text: &Tokens| buckets.iter().copied().find(|&bucket| bucket >= text.ids.len()).unwrap_or(longest);
    let mut order: Vec<(usize, usize)> = texts.iter().enumerate().map(|(at, text)| (bucket(text), at)).collect();
    order.sort_unstable();
    order
        .chunk_by(|a, b| a.0 == b.0)
        .flat_map(|same| same.chunks(rows.max(1)))
        .map(|chunk| batch(texts, chunk, padding, inputs))
        .collect()
}

fn batch(texts: &[Tokens], chunk: &[(usize, usize)], padding: Padding, inputs: &Inputs) -> Packed {
    let length = chunk.first().map_or(0, |&(bucket, _)| bucket);
    let spans: Vec<Range<usize>> = chunk
        .iter()
        .map(|&(_, at)| {
            let count = texts[at].ids.len();
            let from = if padding.left { length - count } else { 0 };
            from..from + count
        })
        .collect();
    let tensor = |input: &Input| {
        let fill = match input.role {
            Role::Ids => padding.token,
            Role::Mask => 0,
            Role::Types => padding.token_type,
        };
        let mut cells = vec![fill; chunk.len() * length];
        for ((row, &(_, at)), span) in cells.chunks_exact_mut(length.max(1)).zip(chunk).zip(&spans) {
            match input.role {
                Role::Ids => row[span.clone()].copy_from_slice(&texts[at].ids),
                Role::Mask => row[span.clone()].fill(1),
                Role::Types => row[span.clone()].copy_from_slice(&texts[at].types),
            }
        }
        let data = if input.long {
            Data::Int64(cells.into_iter().map(i64::from).collect())
        } else {
            // Ids are below the vocabulary's size, which is far below the sign bit.
            Data::Int32(cells.into_iter().map(|cell| i32::try_from(cell).unwrap_or(0)).collect())
        };
        Tensor { name: input.name.clone(), shape: vec![chunk.len(), length], data }
    };
    Packed { inputs: inputs.list.iter().map(tensor).collect(), texts: chunk.iter().map(|&(_, at)| at).collect(), spans }
}
