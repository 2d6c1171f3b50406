//! How long the server's engine takes for a batch of each size, by the server's own report: what the simulator's kinds of
//! service are made of. One client sends one batch after the other.

use crate::{
    case::{Body, Case},
    load::Connection,
    server::Running,
    wire::Wire,
};
use anyhow::Result;
use millrace_bench::median::median;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Rows of a batch.
const SIZES: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// A size whose batch takes longer is the last one: nobody waits for it.
const LONG: f64 = 1_500.0;

/// Batches of one size.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Rows of each.
    pub rows: usize,
    /// Engine time of one in milliseconds, the median of the rounds.
    pub ms: f64,
    /// The mean of each round.
    pub rounds: Vec<f64>,
}

/// Sends batches of each size for so long, in so many rounds over all sizes: what slows the machine for a while slows all.
pub fn run(running: &Running, case: &Case, time: Duration, rounds: usize) -> Result<Vec<Point>> {
    let mut points = SIZES.map(|rows| Point { rows, ms: 0.0, rounds: Vec::new() }).to_vec();
    for _ in 0..rounds {
        let mut long = None;
        for (at, point) in points.iter_mut().enumerate() {
            let ms = mean(running, case, point.rows, time / u32::try_from(rounds)?)?;
            point.rounds.push(ms);
            if ms > LONG {
                long = Some(at + 1);
                break;
            }
        }
        points.truncate(long.unwrap_or(points.len()));
    }
    points.iter_mut().for_each(|point| point.ms = median(point.rounds.clone()));
    Ok(points)
}

/// The mean engine time of batches of one size in milliseconds, over so long.
fn mean(running: &Running, case: &Case, rows: usize, time: Duration) -> Result<f64> {
    let address = running.address(Wire::Binary);
    let inputs = case.bodies[0].inputs.iter().map(|tensor| tensor.repeat(rows)).collect();
    let request = Wire::Binary.request(case.model.name(), &Body { inputs, ..Body::default() });
    let before = ran(running, rows)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = Connection::open(Wire::Binary, address).await?;
        let begun = Instant::now();
        while begun.elapsed() < time {
            connection.call(&request, |_, _| Ok(())).await?;
        }
        anyhow::Ok(())
    })?;
    let after = ran(running, rows)?;
    Ok((after.1 - before.1) * 1e3 / (after.0 - before.0) as f64)
}

/// Runs of this size so far, and their seconds.
fn ran(running: &Running, rows: usize) -> Result<(u64, f64)> {
    let batches = running.report()?.batches;
    let of_size = batches.iter().find(|batch| batch.size == rows as u64);
    Ok(of_size.map_or((0, 0.0), |batch| (batch.count, batch.seconds)))
}
