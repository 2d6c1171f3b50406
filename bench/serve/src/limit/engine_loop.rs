//! `engine_loop`: sessions side by side, one for each core, that do nothing but run batches of these sizes. Only a server whose
//! threads share a session can do with less.

use super::abreast;
use crate::{bare::Bare, case::Body, tensor::Tensor};
use anyhow::{Context, Result};
use std::{path::Path, time::Duration};

/// Rows a second with batches of these sizes, again and again, for so long.
pub fn run(library: &Path, model: &Path, bodies: &[Body], sizes: &[usize], time: Duration) -> Result<f64> {
    let repeated = |(body, size): (&Body, &usize)| body.inputs.iter().map(|tensor| tensor.repeat(*size)).collect();
    let batches: Vec<Vec<Tensor>> = bodies.iter().cycle().zip(sizes).map(repeated).collect();
    let make = || {
        let mut bare = Bare::load(library, model, 1)?;
        bare.run(batches.first().context("no batch")?)?;
        Ok(bare)
    };
    abreast::run(time, make, |bare, turn| {
        let at = turn % batches.len();
        bare.run(&batches[at])?;
        Ok(sizes[at])
    })
}
