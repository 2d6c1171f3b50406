//! Whether the fluid agrees with events.

use super::arguments::Arguments;
use super::{cases, work};
use anyhow::Result;
use millrace_autoscale::case::Case;
use millrace_autoscale::policy::faults::Faults;
use millrace_autoscale::policy::hpa::{self, Metric};
use millrace_autoscale::policy::kpa;
use millrace_autoscale::policy::law::Law;
use millrace_autoscale::rival::Rival;
use millrace_autoscale::world::{Mode, Outcome, run as simulate};
use serde::Serialize;
use serde_json::json;
use std::fmt::Write;

#[derive(Clone, Debug, Serialize)]
struct Agreement {
    case: String,
    policy: &'static str,
    events: (f64, f64),
    fluid: (f64, f64),
}

/// Runs each case both ways, and writes how far they are apart.
pub fn run(arguments: &Arguments, all: &[Case]) -> Result<()> {
    let found = work::spread(all, arguments.threads, |case| compare(case, arguments.asked)).concat();
    let mut text = format!(
        "# Fluid against events\n\nMade by `{}`. Each case was run with every request simulated, and as a fluid.\n\n",
        Arguments::command()
    );
    for note in cases::notes(all) {
        let _ = writeln!(text, "- {note}");
    }
    text.push_str(
        "\n| case | policy | $ by events | $ by fluid | apart | in time by events | by fluid | apart, points |\n",
    );
    text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for Agreement { case, policy, events, fluid } in &found {
        let _ = writeln!(
            text,
            "| {case} | {policy} | {:.3} | {:.3} | {:+.2} % | {:.3} % | {:.3} % | {:+.3} |",
            events.0,
            fluid.0,
            (fluid.0 / events.0 - 1.0) * 100.0,
            events.1 * 100.0,
            fluid.1 * 100.0,
            (fluid.1 - events.1) * 100.0
        );
    }
    std::fs::create_dir_all(&arguments.output)?;
    std::fs::write(
        arguments.file("json"),
        serde_json::to_string(&json!({"command": Arguments::command(), "runs": found}))? + "\n",
    )?;
    std::fs::write(arguments.file("md"), &text)?;
    print!("{text}");
    Ok(())
}

fn compare(case: &Case, asked: f64) -> Vec<Agreement> {
    let hpa = hpa::Settings { metric: Metric::Rate, target: 0.7, window: 30.0, stabilization: 300.0, min: 1 };
    let kpa = kpa::Settings { target: 0.7, stable: 60.0, panic: 2.0, delay: 0.0, min: 1 };
    let both = |policy: &'static str, run: &dyn Fn(bool) -> Outcome| {
        let figures = |events| {
            let outcome = run(events);
            (outcome.dollars, outcome.attainment)
        };
        let case = format!("{} {} {} s", case.trace.name, case.model.name, case.start.mean);
        Agreement { case, policy, events: figures(true), fluid: figures(false) }
    };
    let rival = |rival: Rival| {
        move |events: bool| simulate(&case.setup(asked, events), rival.policy(case.unit, vec![0]).as_mut())
    };
    let law = |events: bool| {
        let setup = case.setup(asked, events);
        debug_assert_eq!(events, matches!(setup.mode, Mode::Events));
        simulate(&setup, &mut Law::new(&setup, Faults::default()))
    };
    vec![both("law", &law), both("HPA", &rival(Rival::Hpa(hpa))), both("KPA", &rival(Rival::Kpa(kpa)))]
}
