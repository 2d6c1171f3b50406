//! A run on a real cluster: what is to be sent, and what came of it beside the simulator.

use super::arguments::Arguments;
use anyhow::{Context, Result, ensure};
use millrace_autoscale::cluster::{Run, compare};
use millrace_autoscale::file::{self, Scale};
use millrace_autoscale::generate::Generator;
use millrace_autoscale::trace::Trace;
use std::io::Write;

/// Prints when each request is to be sent, in seconds: a trace that later runs can read as well.
///
/// # Errors
/// The trace can't be read, or there is more than one.
pub fn schedule(arguments: &Arguments) -> Result<()> {
    let trace = trace(arguments)?;
    ensure!(trace.total() > 0, "{}: no request in that part of it", trace.name);
    eprintln!(
        "{}: {}; {} requests, {:.2}/s, peak over mean {:.1}",
        trace.name,
        trace.note,
        trace.total(),
        trace.mean(),
        trace.peak_to_mean()
    );
    let mut out = std::io::stdout().lock();
    writeln!(out, "t_s,{}", trace.name)?;
    let mut instants = Vec::new();
    for second in 0..trace.seconds() {
        trace.arrivals(second, arguments.seed, &mut instants);
        for at in &instants {
            writeln!(out, "{at:.4},1")?;
        }
    }
    Ok(out.flush()?)
}

fn trace(arguments: &Arguments) -> Result<Trace> {
    let (seconds, rate) = ((arguments.minutes * 60.0) as usize, arguments.mean_rate);
    ensure!(seconds >= 60 && rate > 0.0, "give at least a minute, and a rate above 0");
    match (&arguments.trace[..], &arguments.generate[..]) {
        ([path], []) => {
            let scale = Scale {
                from_hours: arguments.from_hours,
                hours: arguments.minutes / 60.0,
                mean: Some(rate),
                rate: 1.0,
                time: arguments.time_factor,
            };
            Ok(file::read(path, arguments.bin)?.trace(scale, arguments.seed))
        }
        ([], made) if made.len() <= 1 => {
            Ok(squeezed(made.first().copied().unwrap_or(Generator::Bursty), seconds, rate, arguments.seed))
        }
        _ => anyhow::bail!("give one trace or one generator"),
    }
}

/// How many seconds of a generator are played in one: what it does in hours or days must be seen in minutes.
fn squeeze(generator: Generator) -> usize {
    match generator {
        Generator::Diurnal => 144,
        Generator::Flash => 20,
        Generator::OnOff => 12,
        Generator::Mmpp => 5,
        Generator::Growth | Generator::Bursty => 1,
    }
}

fn squeezed(generator: Generator, seconds: usize, rate: f64, seed: u64) -> Trace {
    let times = squeeze(generator);
    let long = generator.trace(seconds * times, rate / times as f64, seed);
    let counts = long.counts.chunks(times).map(|part| part.iter().sum()).collect();
    Trace {
        kind: long.kind,
        ..Trace::new(generator.name(), counts, &format!("{}, played at {times} times its speed", long.note))
    }
}

/// Reads what was measured, simulates it, and writes JSON, a page and a picture.
///
/// # Errors
/// The file can't be read, or the gap is larger than what is tolerated.
pub fn run(arguments: &Arguments) -> Result<()> {
    let file = arguments.run.as_ref().context("name what was measured: --run FILE")?;
    let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    let run: Run = serde_json::from_str(&text).with_context(|| format!("{} is no run", file.display()))?;
    let compared = compare(run)?;
    std::fs::create_dir_all(&arguments.output)?;
    std::fs::write(arguments.file("json"), serde_json::to_string(&compared)? + "\n")?;
    std::fs::write(arguments.file("md"), compared.markdown())?;
    std::fs::write(arguments.file("svg"), compared.svg())?;
    println!("{}", compared.markdown().split("\n| s |").next().unwrap_or_default());
    ensure!(compared.agrees, "the gap in replica-hours is {:+.1} %", compared.gap * 100.0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_that_is_squeezed_keeps_its_mean_and_its_length() {
        for generator in millrace_autoscale::generate::ALL {
            let trace = squeezed(generator, 600, 5.0, 3);
            assert_eq!(trace.seconds(), 600, "{generator:?}");
            assert!((trace.mean() - 5.0).abs() < 0.5, "{generator:?} {}", trace.mean());
        }
        let day = squeezed(Generator::Diurnal, 600, 20.0, 3);
        let (night, noon) = (&day.counts[..60], &day.counts[270..330]);
        assert!(noon.iter().sum::<u32>() > 2 * night.iter().sum::<u32>(), "a day passes in ten minutes");
    }
}
