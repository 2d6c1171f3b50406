//! The law alone, a line for each case.

use super::arguments::Arguments;
use super::work;
use anyhow::Result;
use millrace_autoscale::case::Case;
use millrace_autoscale::policy::faults::Faults;
use millrace_autoscale::policy::law::Law;
use millrace_autoscale::world::run as simulate;
use millrace_scaler::Record;
use std::fmt::Write;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// Runs the law, and prints.
pub fn run(arguments: &Arguments, cases: &[Case]) -> Result<()> {
    if let Some(folder) = &arguments.pictures {
        std::fs::create_dir_all(folder)?;
    }
    println!("trace, service, start, in time, $, starts, p50, p99, p99.9, seconds that it took");
    for line in work::spread(cases, arguments.threads, |case| one(arguments, case)) {
        println!("{}", line?);
    }
    Ok(())
}

fn one(arguments: &Arguments, case: &Case) -> Result<String> {
    let events = arguments.by_events(case);
    let mut setup = case.setup(arguments.asked, events);
    setup.series = arguments.pictures.is_some();
    let began = Instant::now();
    let mut law = Law::new(&setup, Faults::default()).logged();
    if arguments.record.is_some() {
        law = law.recorded();
    }
    let outcome = simulate(&setup, &mut law);
    if let (Some(file), Some(passes)) = (&arguments.record, &law.passes) {
        append(file, passes)?;
    }
    let title = format!("{} {} {} s", case.trace.name, case.model.name, case.start.mean);
    if let (Some(folder), Some(series)) = (&arguments.pictures, &outcome.series) {
        std::fs::write(folder.join(format!("{}.svg", title.replace(' ', "-"))), series.svg(&title))?;
    }
    let [median, high, highest] = outcome.latency;
    let (share, took) = (outcome.attainment * 100.0, began.elapsed().as_secs_f64());
    let how = if events { "events" } else { "fluid" };
    let mut line = format!(
        "{title}, {share:.3} %, {:.2}, {}, {median:.3}, {high:.3}, {highest:.3}, {took:.1} ({how})",
        outcome.dollars, outcome.starts
    );
    if arguments.decisions {
        for (at, reason) in law.log.unwrap_or_default() {
            let _ = write!(line, "\n  {at:.1} {reason}");
        }
    }
    Ok(line)
}

fn append(file: &Path, passes: &[Record]) -> Result<()> {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
    let mut file = std::io::BufWriter::new(file);
    for pass in passes {
        serde_json::to_writer(&mut file, pass)?;
        file.write_all(b"\n")?;
    }
    Ok(file.flush()?)
}
