//! Loops side by side, one for each core, and nothing beside them.

use crate::process::cores;
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Rows a second over all loops. Each has a state that `make` gave before any began; `step` takes it, and its number, and says
/// how many rows it ran. The last step counts with its whole time.
pub fn run<S: Send>(
    time: Duration,
    make: impl Fn() -> Result<S>,
    step: impl Fn(&mut S, usize) -> Result<usize> + Sync,
) -> Result<f64> {
    let states = (0..cores()).map(|_| make()).collect::<Result<Vec<S>>>()?;
    let one = |(number, mut state): (usize, S)| {
        let (begun, mut rows) = (Instant::now(), 0);
        // Loops that run the same batch at the same time would share what it holds.
        for turn in number * 7.. {
            rows += step(&mut state, turn)?;
            if begun.elapsed() >= time {
                break;
            }
        }
        Ok(rows as f64 / begun.elapsed().as_secs_f64())
    };
    std::thread::scope(|scope| {
        let loops: Vec<_> = states.into_iter().enumerate().map(|state| scope.spawn(move || one(state))).collect();
        loops.into_iter().map(|one| one.join().unwrap_or_else(|_| bail!("a loop panicked"))).sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_counts_with_its_whole_time() {
        let time = Duration::from_millis(30);
        let step = |_: &mut (), _| {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(20) {
                std::hint::spin_loop();
            }
            Ok(1)
        };
        let rate = run(time, || Ok(()), step).expect("loops");
        let most = 50.0 * cores() as f64;
        assert!(rate <= most, "{rate} rows a second of {most}");
        assert!(run(time, || Ok(()), |_, _| bail!("no")).is_err());
    }
}
