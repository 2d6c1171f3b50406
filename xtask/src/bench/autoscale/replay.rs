//! A trace at real speed through the gateway of a real cluster, then through the simulator.

use super::ground::{self, Ground, HOURLY_COST};
use super::operator;
use super::watch::{Counted, Watch};
use anyhow::{Context, Result, ensure};
use millrace_testbed::{exec, wait_until};
use millrace_tests::Service;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const SERVICE: &str = "bench-trace";
/// Most replicas.
const MOST: u32 = 6;
/// The objective: seconds, and how it is written.
const TARGET: (f64, &str) = (3.0, "3s");
const PERCENTILE: f64 = 99.0;
/// Part of its time for which a replica is busy under what counts as a load of one replica.
const UTILISATION: f64 = 0.6;
/// Longest time until the service is at its floor again.
const QUIET: Duration = Duration::from_secs(300);

/// Replays, measures, compares, and writes bench/results/autoscale-cluster.{json,md,svg}.
pub fn run(ground: &Ground, replicas: f64, arguments: &[String]) -> Result<()> {
    let service = ground.slow_service(SERVICE, MOST, TARGET.1)?;
    let watch = Watch::start(&service)?;
    at_floor(&watch)?;
    let alone = ground.alone(&service)?;
    println!("a request that is alone takes {alone:.3} s");

    let schedule = ground.folder.join("schedule.csv");
    let mean = format!("{:.3}", UTILISATION * replicas / alone);
    let mut simulator = ground.program("millrace-autoscale");
    simulator.args(["schedule", "--mean-rate", &mean]).args(arguments);
    std::fs::write(&schedule, exec::output(&mut simulator)?)?;
    let seconds = length(arguments)?;

    let before = operator::phases(&service.product.bed, SERVICE)?;
    let rows = ground.folder.join("rows.csv");
    let sending = ground.send(&service, &schedule, &rows)?;
    println!("replaying {seconds:.0} s");
    sending.wait()?;
    let engine = engine_seconds(&service)?;
    let after = operator::phases(&service.product.bed, SERVICE)?;
    let starts = operator::means(&before, &after);
    // A run that never scaled knows the first replica's start alone.
    let starts = if starts.is_empty() { operator::means(&operator::Phases::new(), &after) } else { starts };
    println!("phases of a start, mean seconds: {starts:?}");
    let start = *starts.get("whole").context("no start was measured: is this the operator of this release?")?;

    let (began, requests) = ground::rows(&std::fs::read_to_string(&rows)?)?;
    let run = json!({
        "trace": title(&schedule)?,
        "machine": machine(),
        "seconds": seconds,
        "requests": requests,
        "replicas": within(&watch.replicas(), began, seconds),
        "decisions": watch.decisions().iter().map(|(at, reason)| (at - began, reason)).filter(|(at, _)| (0.0..=seconds).contains(at)).collect::<Vec<_>>(),
        "serviceSeconds": engine,
        "startSeconds": start,
        "bounds": [1, MOST],
        "target": TARGET.0,
        "percentile": PERCENTILE,
        "hourlyCost": HOURLY_COST,
    });
    drop(watch);
    service.delete()?;
    ground.limit(false)?;
    let measured = ground.folder.join("run.json");
    std::fs::write(&measured, run.to_string())?;
    let mut simulator = ground.program("millrace-autoscale");
    simulator.args(["cluster", "--run"]).arg(&measured);
    exec::shown_live(&mut simulator)
}

fn at_floor(watch: &Watch) -> Result<()> {
    wait_until("one replica", QUIET, || Ok(watch.now() == Some(Counted { asked: 1, ready: 1 })))
}

/// Seconds of the run, as the simulator will read them.
fn length(arguments: &[String]) -> Result<f64> {
    let named = |(index, argument): (usize, &String)| match argument.strip_prefix("--minutes") {
        Some("") => arguments.get(index + 1).cloned(),
        Some(rest) => rest.strip_prefix('=').map(str::to_owned),
        None => None,
    };
    let minutes = arguments.iter().enumerate().find_map(named);
    let minutes: f64 = minutes.map_or(Ok(10.0), |text| text.parse()).context("--minutes takes a number")?;
    Ok(minutes * 60.0)
}

/// Name of a schedule: the header of its second column.
fn title(schedule: &Path) -> Result<String> {
    let text = std::fs::read_to_string(schedule)?;
    let header = text.lines().next().and_then(|line| line.split_once(','));
    header.map(|(_, name)| name.to_owned()).context("a schedule has a header")
}

fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("cluster, replicas and load on one machine with {processors} processors, a tenth of one for a replica")
}

/// Mean engine time of what answers: since it began, so mostly of the run.
fn engine_seconds(service: &Service) -> Result<f64> {
    let answer = service.call(&format!("/v2/models/{}/stats", service.name)).send()?;
    ensure!(answer.status == 200, "no statistics: {} {}", answer.status, answer.error());
    mean_engine(&answer.json()).context("the statistics have no engine time")
}

fn mean_engine(stats: &Value) -> Option<f64> {
    let infer = &stats["model_stats"][0]["inference_stats"]["compute_infer"];
    let (count, nanos) = (infer["count"].as_f64()?, infer["ns"].as_f64()?);
    (count > 0.0).then_some(nanos / count / 1e9)
}

/// Replicas from the run's first moment on: what held before it is its first entry.
fn within(all: &[(f64, Counted)], began: f64, seconds: f64) -> Vec<Value> {
    let first = all.iter().rposition(|(at, _)| *at <= began).unwrap_or(0);
    let inside = all.iter().skip(first).map(|(at, counted)| ((at - began).max(0.0), counted));
    let step = |(at, counted): (f64, &Counted)| json!({"at": at, "asked": counted.asked, "ready": counted.ready});
    inside.filter(|(at, _)| *at <= seconds).map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_held_before_the_run_is_its_first_step() {
        let counted = |asked| Counted { asked, ready: asked };
        let all = [(90.0, counted(2)), (95.0, counted(1)), (110.0, counted(3)), (900.0, counted(1))];
        let steps = within(&all, 100.0, 600.0);
        assert_eq!(steps, [json!({"at": 0.0, "asked": 1, "ready": 1}), json!({"at": 10.0, "asked": 3, "ready": 3})]);
    }

    #[test]
    fn minutes_are_read_as_they_are_passed_on() {
        let length = |arguments: &[&str]| length(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(length(&[]).unwrap(), 600.0);
        assert_eq!(length(&["--seed", "3", "--minutes", "2"]).unwrap(), 120.0);
        assert_eq!(length(&["--minutes=0.5"]).unwrap(), 30.0);
        assert!(length(&["--minutes", "few"]).is_err());
    }

    #[test]
    fn the_engine_takes_what_the_statistics_say() {
        let stats =
            json!({"model_stats": [{"inference_stats": {"compute_infer": {"count": 4, "ns": 2_000_000_000_u64}}}]});
        assert_eq!(mean_engine(&stats), Some(0.5));
        assert_eq!(mean_engine(&json!({})), None);
    }
}
