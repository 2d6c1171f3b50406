//! How soon the product reacts: a burst of ten times the load to the first `/scale` write, and a call at zero to its answer.

use super::ground::{Ground, epoch};
use super::operator;
use super::watch::{Counted, Watch};
use anyhow::{Context, Result, ensure};
use millrace_testbed::{repository, wait_until};
use millrace_tests::{Service, edited};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often each is measured. A burst takes two minutes: each has a service of its own.
const TIMES: usize = 5;
const BURSTS: usize = 3;
/// Seconds of steady load before a burst.
const STEADY: f64 = 45.0;
/// Seconds of a burst.
const BURST: f64 = 30.0;
/// Part of its time for which one replica is busy under the steady load.
const LIGHT: f64 = 0.25;
/// Longest time until a service is at its floor.
const QUIET: Duration = Duration::from_secs(300);
const RESULTS: &str = "bench/results/autoscale-starts.json";

/// Measures both, prints them, and writes them.
pub fn run(ground: &Ground) -> Result<()> {
    let (woken, phases) = from_zero(ground)?;
    let bursts = bursts(ground)?;
    let figures = [
        ("first answer from zero, cold (Magika)", woken, 2.0),
        ("burst of 10 times to the first /scale write", bursts, 3.0),
    ];
    let mut rows = Vec::new();
    for (what, mut all, target) in figures {
        let taken = all.clone();
        all.sort_by(f64::total_cmp);
        let median = all[all.len() / 2];
        println!("{what}: median {median:.2} s of {taken:.2?} (asked: {target} s)");
        rows.push(json!({"what": what, "median": median, "all": taken, "asked": target}));
    }
    println!("phases of a cold start, mean seconds: {phases:?}");
    let results = json!({"command": "cargo xtask bench autoscale --starts", "rows": rows, "phases": phases});
    std::fs::write(repository().join(RESULTS), serde_json::to_string_pretty(&results)? + "\n")?;
    Ok(())
}

/// Seconds of a call that finds no replica, and the mean phases of the starts.
fn from_zero(ground: &Ground) -> Result<(Vec<f64>, BTreeMap<String, f64>)> {
    let name = "bench-zero";
    let changes = [
        ("/metadata/name", json!(name)),
        ("/spec/scaling", json!({"minReplicas": 0, "maxReplicas": 2, "idleAfter": "15s"})),
        ("/spec/placement", json!({"accelerators": ["CPU"], "locations": ["OnPremises"], "regions": ["eu-central"]})),
        ("/spec/runtime/resources", json!({"cpu": "100m", "memory": "512Mi"})),
    ];
    // The limit of slow replicas is for those of a trace: a cold start is measured as it is.
    ground.limit(false)?;
    let service = Service::apply(&ground.product, &edited("magika.yaml", &changes)?)?;
    service.wait_ready(QUIET)?;
    let before = operator::phases(&service.product.bed, name)?;
    let mut all = Vec::new();
    for _ in 0..TIMES {
        wait_until("no pod", QUIET, || Ok(service.pods()?.is_empty()))?;
        let answer = service.process(b"#!/bin/sh\necho woken\n")?;
        ensure!(answer.status == 200, "answered {}: {} {}", answer.status, answer.error(), answer.problem);
        all.push(answer.took.as_secs_f64());
        println!("from zero: {:.2} s", answer.took.as_secs_f64());
    }
    // The last start is measured once its pod has been ready for a while.
    let mut phases = BTreeMap::new();
    wait_until("the phases of the starts", Duration::from_secs(60), || {
        let after = operator::phases(&service.product.bed, name)?;
        phases = operator::means(&before, &after);
        let starts = |all: &operator::Phases| all.get("whole").map_or(0.0, |(_, count)| *count);
        Ok(starts(&after) - starts(&before) >= TIMES as f64)
    })?;
    service.delete()?;
    Ok((all, phases))
}

/// Seconds from the first request of a burst to the first change of what is asked for. Each is the first of its service:
/// one that has seen a burst is ready for the next.
fn bursts(ground: &Ground) -> Result<Vec<f64>> {
    let service = ground.slow_service("bench-alone", 6, "3s")?;
    let schedule = ground.folder.join("burst.csv");
    std::fs::write(&schedule, burst(LIGHT / ground.alone(&service)?))?;
    service.delete()?;
    let mut all = Vec::new();
    for number in 0..BURSTS {
        let service = ground.slow_service(&format!("bench-burst-{number}"), 6, "3s")?;
        let watch = Watch::start(&service)?;
        wait_until("one replica", QUIET, || Ok(watch.now() == Some(Counted { asked: 1, ready: 1 })))?;
        let rows = ground.folder.join(format!("burst-{number}.csv"));
        let began = epoch();
        let sending = ground.send(&service, &schedule, &rows)?;
        let limit = Instant::now() + Duration::from_secs_f64(STEADY + BURST);
        let seen = loop {
            let steps = watch.replicas();
            // Chance may have raised it before: only more than that is an answer.
            let before = steps.iter().rfind(|(at, _)| *at < began + STEADY).map_or(0, |(_, counted)| counted.asked);
            let raised = steps.iter().find(|(at, counted)| *at >= began + STEADY && counted.asked > before);
            match raised.copied() {
                Some((at, _)) => break at,
                None if Instant::now() > limit => anyhow::bail!("the burst was not scaled for"),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        drop(sending);
        // The generator's own clock says when the burst began.
        let text = std::fs::read_to_string(&rows)?;
        let start = text.lines().next().and_then(|line| line.split(',').nth(1)?.parse::<f64>().ok());
        let took = seen - start.context("the generator says when it began")? - STEADY;
        println!("burst: {took:.2} s");
        all.push(took);
        drop(watch);
        service.delete()?;
    }
    ground.limit(false)?;
    Ok(all)
}

/// Evenly spaced requests at a rate, then at ten times that.
fn burst(rate: f64) -> String {
    let steady = (0..).map(|number| f64::from(number) / rate).take_while(|at| *at < STEADY);
    let burst = (0..).map(|number| STEADY + f64::from(number) / (10.0 * rate)).take_while(|at| *at < STEADY + BURST);
    let rows: Vec<String> = steady.chain(burst).map(|at| format!("{at:.4},1\n")).collect();
    format!("t_s,burst\n{}", rows.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_ten_times_the_load() {
        let text = burst(2.0);
        let times: Vec<f64> =
            text.lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
        let steady = times.iter().filter(|at| **at < STEADY).count();
        assert_eq!((steady, times.len() - steady), (90, 600));
        assert!(times.is_sorted());
    }
}
