//! The cases that the arguments name.

use super::arguments::Arguments;
use anyhow::{Context, Result, ensure};
use millrace_autoscale::case::Case;
use millrace_autoscale::file::{self, Scale};
use millrace_autoscale::generate;
use millrace_autoscale::model::{SERVICES, ServiceModel, Start};
use millrace_autoscale::policy::unit::Unit;
use millrace_autoscale::tables::{self, Tables};
use millrace_autoscale::trace::Trace;
use std::path::Path;
use std::sync::Arc;

/// The kinds of service of these names.
pub fn models(names: &[String]) -> Result<Vec<ServiceModel>> {
    let known = || SERVICES.map(|model| model.name).join(", ");
    names.iter().map(|name| tables::model(name).with_context(|| format!("{name}: kinds are {}", known()))).collect()
}

/// Each kind of service with each trace and each start time.
pub fn cases(arguments: &Arguments, models: &[ServiceModel], tables: &Tables) -> Result<Vec<Case>> {
    let files: Result<Vec<_>> = arguments.trace.iter().map(|path| file::read(path, arguments.bin)).collect();
    let files = files?;
    let made = if arguments.generate.is_empty() && files.is_empty() { &generate::ALL[..] } else { &arguments.generate };
    let loads = arguments.load_times.as_deref().map(load_times).transpose()?.unwrap_or_default();
    let mut cases = Vec::new();
    for model in models {
        let table = &tables.of(model)[0];
        let mean = (arguments.load > 0.0).then_some(Unit::of(table).rate * arguments.load);
        let scale = Scale {
            from_hours: arguments.from_hours,
            hours: arguments.hours,
            mean,
            rate: arguments.rate_factor,
            time: arguments.time_factor,
        };
        let recorded = files.iter().map(|file| file.trace(scale, arguments.seed));
        let seconds = (arguments.hours * 3_600.0) as usize;
        let generated = made.iter().map(|g| g.trace(seconds, mean.unwrap_or(10.0), arguments.seed));
        let traces: Vec<Arc<Trace>> = recorded.chain(generated).map(Arc::new).collect();
        for trace in traces {
            ensure!(trace.seconds() >= 60 && trace.total() > 0, "{}: less than a minute, or no requests", trace.name);
            for start in &arguments.start {
                let start = Start { loads: loads.clone(), ..Start::of(*start) };
                cases.push(Case::new(trace.clone(), *model, start, table.clone(), arguments.seed));
            }
        }
    }
    Ok(cases)
}

/// How the traces of these cases were made, each once.
pub fn notes(cases: &[Case]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for case in cases {
        let (trace, service) = (&case.trace, case.model.name);
        let (mean, peak) = (trace.mean(), trace.peak_to_mean());
        let note = format!("{} ({service}): {}; {mean:.1}/s, peak over mean {peak:.1}", trace.name, trace.note);
        if notes.last() != Some(&note) {
            notes.push(note);
        }
    }
    notes
}

fn load_times(path: &Path) -> Result<Vec<f64>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
    let times: Vec<f64> = text.lines().filter_map(|line| line.trim().parse().ok()).collect();
    ensure!(!times.is_empty(), "{} holds no number", path.display());
    Ok(times)
}
