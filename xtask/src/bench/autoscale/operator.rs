//! What the leading operator has measured of starts.

use anyhow::{Context, Result};
use millrace_testbed::exec;
use millrace_tests::{Bed, SYSTEM_NAMESPACE};
use std::collections::BTreeMap;
use std::process::Command;

/// Sum of seconds and number of starts, by phase.
pub type Phases = BTreeMap<String, (f64, f64)>;

/// Phases of all starts of a service so far.
pub fn phases(bed: &Bed, service: &str) -> Result<Phases> {
    let selector = "app.kubernetes.io/component=operator";
    let mut all = Phases::new();
    for pod in bed.list(&["-n", SYSTEM_NAMESPACE, "pods", "-l", selector])? {
        let Some(address) = pod["status"]["podIP"].as_str() else { continue };
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "10"]);
        let text =
            exec::output(curl.arg(format!("http://{address}:8081/metrics"))).context("the operator's metrics")?;
        for (phase, (sum, count)) in read(&text, service) {
            let known = all.entry(phase).or_default();
            *known = (known.0 + sum, known.1 + count);
        }
    }
    Ok(all)
}

/// Mean seconds of each phase of what `after` has beyond `before`.
pub fn means(before: &Phases, after: &Phases) -> BTreeMap<String, f64> {
    let mean = |(phase, (sum, count)): (&String, &(f64, f64))| {
        let (earlier, fewer) = before.get(phase).copied().unwrap_or_default();
        let starts = count - fewer;
        (starts > 0.0).then(|| (phase.clone(), (sum - earlier) / starts))
    };
    after.iter().filter_map(mean).collect()
}

fn read(text: &str, service: &str) -> Phases {
    let mut phases = Phases::new();
    let wanted = format!("service=\"{service}\"");
    for line in text.lines().filter(|line| line.contains(&wanted)) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let Some(name) = series.strip_prefix("millrace_operator_start_seconds_") else { continue };
        let phase = series.split_once("phase=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(phase, _)| phase);
        let (Some(phase), Ok(value)) = (phase, value.parse::<f64>()) else { continue };
        let known = phases.entry(phase.to_owned()).or_default();
        match name.split_once('{') {
            Some(("sum", _)) => known.0 += value,
            Some(("count", _)) => known.1 += value,
            _ => {}
        }
    }
    phases
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP millrace_operator_start_seconds Time of a replica's start, by phase.
millrace_operator_start_seconds_sum{namespace="team-a",service="s",pool="p",phase="whole"} 6.5
millrace_operator_start_seconds_count{namespace="team-a",service="s",pool="p",phase="whole"} 2
millrace_operator_start_seconds_bucket{namespace="team-a",service="s",pool="p",phase="whole",le="5.0"} 2
millrace_operator_start_seconds_sum{namespace="team-a",service="s",pool="q",phase="whole"} 1.5
millrace_operator_start_seconds_count{namespace="team-a",service="s",pool="q",phase="whole"} 1
millrace_operator_start_seconds_sum{namespace="team-a",service="other",pool="q",phase="whole"} 100
millrace_operator_leader 1
"#;

    #[test]
    fn phases_are_summed_over_pools_and_means_are_of_what_is_new() {
        let phases = read(TEXT, "s");
        assert_eq!(phases, Phases::from([("whole".to_owned(), (8.0, 3.0))]));
        let before = Phases::from([("whole".to_owned(), (2.0, 1.0))]);
        assert_eq!(means(&before, &phases), BTreeMap::from([("whole".to_owned(), 3.0)]));
        assert_eq!(means(&phases, &phases), BTreeMap::new());
    }
}
