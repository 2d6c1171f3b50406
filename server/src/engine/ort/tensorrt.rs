//! Decisions for TensorRT, all of them pure: which shapes its engine is built for, and what it is valid for.

use super::store::Place;
use crate::protocol::tensor::Signature;
use millrace_crds::Precision;
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// More profiles than this make engines that take hours to build; one profile over the whole range takes their place.
const PROFILES: usize = 16;

/// How TensorRT is to build its engine, and where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorRt {
    /// Shapes that the engine is built for; `None`: the model has no free dimension.
    pub profiles: Option<Profiles>,
    /// Where engine and timings are kept, or are to be; `None`: nowhere.
    pub place: Option<Place>,
}

impl TensorRt {
    /// Whether the engine was built before, and is only loaded.
    #[must_use]
    pub fn is_built(&self) -> bool {
        matches!(self.place, Some(Place::Whole(_)))
    }

    /// Where it is loaded from or written to.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self.place.as_ref()? {
            Place::Whole(folder) | Place::New(folder, _) => Some(folder),
        }
    }
}

/// Sizes that requests have: batches of rows, and lengths of whatever else is free.
#[derive(Clone, Copy, Debug)]
pub struct Sizes<'a> {
    /// Batch sizes that batches are padded to, rising; empty: any up to `max_rows`.
    pub buckets: &'a [usize],
    /// Most rows in a batch.
    pub max_rows: usize,
    /// Lengths that inputs are padded to, rising.
    pub lengths: &'a [usize],
}

/// Optimisation profiles as ONNX Runtime's TensorRT provider reads them: `name:1x128,name2:1x128`, the names once again
/// for each further profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profiles {
    /// Smallest shapes.
    pub min: String,
    /// Shapes that are tuned for.
    pub opt: String,
    /// Largest shapes.
    pub max: String,
}

/// Why there are no profiles for a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "input {input:?} has a free dimension (number {dimension}) that nothing bounds: TensorRT would build its engine anew within requests; pad it in spec.pipeline (tokenize.buckets), or fix it in the model"
)]
pub struct Unbounded {
    input: String,
    dimension: usize,
}

/// Profiles for every shape that a request can have after padding; `None`: all shapes are fixed.
///
/// One profile for each pair of a batch size and a length, for a kernel is tuned best to one shape; one over the whole range
/// where batches aren't padded, or where there would be too many.
///
/// # Errors
/// A dimension is free, and nothing says how large it gets.
pub fn profiles(signature: &Signature, sizes: Sizes<'_>) -> Result<Option<Profiles>, Unbounded> {
    let batches = signature.batches();
    let mut rows_are_free = false;
    let mut length_is_free = false;
    for input in &signature.inputs {
        for (at, _) in input.shape.iter().enumerate().filter(|(_, dim)| **dim < 0) {
            if at == 0 && batches {
                rows_are_free = true;
            } else if sizes.lengths.is_empty() {
                return Err(Unbounded { input: input.name.clone(), dimension: at });
            } else {
                length_is_free = true;
            }
        }
    }
    if !rows_are_free && !length_is_free {
        return Ok(None);
    }
    let ends = |sizes: &[usize]| (sizes.first().copied().unwrap_or(1), sizes.last().copied().unwrap_or(1));
    let lengths: &[usize] = if length_is_free { sizes.lengths } else { &[1] };
    let exact = !rows_are_free || !sizes.buckets.is_empty();
    let buckets: &[usize] = if rows_are_free && exact { sizes.buckets } else { &[1] };
    let mut profiles = Profiles::default();
    if exact && buckets.len() * lengths.len() <= PROFILES {
        for (&rows, &length) in buckets.iter().flat_map(|rows| lengths.iter().map(move |length| (rows, length))) {
            profiles.add(signature, [(rows, length); 3]);
        }
        // Larger batches aren't padded.
        let last = buckets.last().copied().unwrap_or(1);
        if rows_are_free && last < sizes.max_rows {
            let ((shortest, longest), most) = (ends(lengths), sizes.max_rows);
            profiles.add(signature, [(last + 1, shortest), (most, longest), (most, longest)]);
        }
    } else {
        let ((shortest, longest), most) = (ends(lengths), if rows_are_free { sizes.max_rows } else { 1 });
        profiles.add(signature, [(1, shortest), (most, longest), (most, longest)]);
    }
    Ok(Some(profiles))
}

impl Profiles {
    /// Adds one profile: smallest, tuned and largest pair of rows and length.
    fn add(&mut self, signature: &Signature, sizes: [(usize, usize); 3]) {
        for (text, (rows, length)) in [&mut self.min, &mut self.opt, &mut self.max].into_iter().zip(sizes) {
            for input in signature.inputs.iter().filter(|input| input.shape.iter().any(|&dim| dim < 0)) {
                let size = |(at, &dim): (usize, &i64)| {
                    let free = if at == 0 && signature.batches() { rows } else { length };
                    usize::try_from(dim).unwrap_or(free).to_string()
                };
                let dims: Vec<String> = input.shape.iter().enumerate().map(size).collect();
                if !text.is_empty() {
                    text.push(',');
                }
                text.push_str(&format!("{}:{}", input.name, dims.join("x")));
            }
        }
    }
}

/// What a built engine is valid for: with any of these changed, it has to be built anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineKey<'a> {
    /// Digest of the model.
    pub model: &'a str,
    /// Version of ONNX Runtime.
    pub runtime: &'a str,
    /// Version of TensorRT.
    pub tensorrt: &'a str,
    /// The GPU: its name and compute capability.
    pub gpu: &'a str,
    /// Precision that is asked for.
    pub precision: Option<Precision>,
    /// Shapes that it is built for.
    pub profiles: Option<&'a Profiles>,
}

impl EngineKey<'_> {
    /// Its digest, in hexadecimal: the name of its folder.
    #[must_use]
    pub fn digest(&self) -> String {
        let none = Profiles::default();
        let Profiles { min, opt, max } = self.profiles.unwrap_or(&none);
        let precision = format!("{:?}", self.precision);
        let mut hash = Sha256::new();
        for part in [self.model, self.runtime, self.tensorrt, self.gpu, &precision, min, opt, max] {
            // Its length before each part: no two keys read the same.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
#[path = "tensorrt_tests.rs"]
mod tests;
