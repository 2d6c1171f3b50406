//! The comparison as a page.

use super::{Compared, Pair, TOLERATED};
use std::fmt::Write;

impl Compared {
    /// Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let run = &self.run;
        let mut page = format!(
            "# The scaler on a real cluster, and in the simulator\n\n{}; {:.0} s at real speed through the gateway; {}.\n\
             Answers within {:.2} s, {} % of them; {} to {} replicas. A request takes {:.3} s of a replica, a start {:.1} s: both measured,\n\
             and all that the simulator is told beside the arrivals.\n\n\
             | what | cluster | simulator | gap |\n| --- | --- | --- | --- |\n",
            run.trace,
            run.seconds,
            run.machine,
            run.target,
            run.percentile,
            run.bounds.0,
            run.bounds.1,
            run.service_seconds,
            run.start_seconds
        );
        let mut row = |what: &str, pair: Pair, digits: usize, unit: &str| {
            let Pair { measured, predicted } = pair;
            let gap = pair.gap() * 100.0;
            let _ = writeln!(page, "| {what} | {measured:.digits$}{unit} | {predicted:.digits$}{unit} | {gap:+.0} % |");
        };
        let percent = |pair: Pair| Pair { measured: pair.measured * 100.0, predicted: pair.predicted * 100.0 };
        row("replica-hours", self.replica_hours, 3, "");
        row("most replicas", self.most, 0, "");
        row("in time", percent(self.in_time), 2, " %");
        row("median", self.median, 3, " s");
        row("99th percentile", self.p99, 3, " s");
        let verdict = if self.agrees { "within" } else { "NOT within" };
        let _ = writeln!(
            page,
            "\nThe gap in replica-hours is {:+.1} %, {verdict} the {:.0} % that are asked. {} requests, {} failed.\n",
            self.gap * 100.0,
            TOLERATED * 100.0,
            self.requests.0,
            self.requests.1
        );
        page.push_str(
            "| s | requests | failed | p50 | p99 | asked: cluster, simulator | ready: cluster, simulator |\n",
        );
        page.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
        for row in &self.rows {
            let latency =
                |pick: fn((f64, f64)) -> f64| row.latency.map_or("-".to_owned(), |l| format!("{:.2}", pick(l)));
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {} | {}, {} | {}, {} |",
                row.at,
                row.arrivals,
                row.failed,
                latency(|l| l.0),
                latency(|l| l.1),
                row.asked.measured,
                row.asked.predicted,
                row.ready.measured,
                row.ready.predicted
            );
        }
        decisions(&mut page, "Decisions on the cluster", &run.decisions);
        decisions(&mut page, "Decisions in the simulator", &self.predicted_decisions);
        page
    }
}

fn decisions(page: &mut String, title: &str, all: &[(f64, String)]) {
    let _ = writeln!(page, "\n## {title}\n");
    for (at, reason) in all {
        let _ = writeln!(page, "- {at:.1} s: {reason}");
    }
}
