//! What came of it: raw figures, medians and ratios as JSON, one entry for each row, and a table to read.

use crate::{figure::Figures, process::cores, row::Row};
use anyhow::{Context, Result};
use millrace_bench::median::spread;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// What a row came to.
#[derive(Clone, Debug)]
pub struct Measured {
    runs: BTreeMap<&'static str, Vec<Figures>>,
    more: Map<String, Value>,
}

impl Measured {
    /// From the runs of each server.
    pub fn of(runs: BTreeMap<&'static str, Vec<Figures>>) -> Self {
        Self { runs, more: Map::new() }
    }

    /// Something else that was measured in the same run.
    pub fn more(&mut self, name: &str, value: Value) {
        self.more.insert(name.to_owned(), value);
    }

    /// A server's medians.
    pub fn median(&self, server: &str) -> Option<Figures> {
        self.runs.get(server).map(|runs| Figures::median(runs))
    }

    /// One line for whoever waits.
    pub fn line(&self, id: &str) -> String {
        let mut line = format!("{id}:");
        for (server, runs) in &self.runs {
            let median = Figures::median(runs);
            let _ = write!(
                line,
                "  {server} {:.0}/s p50 {:.0} p99 {:.0} cpu {:.1} µs;",
                median.per_second, median.p50_us, median.p99_us, median.cpu_us
            );
        }
        for (name, value) in self.more.iter().filter(|(_, value)| value.is_number()) {
            let _ = write!(line, "  {name} {value};");
        }
        line
    }

    fn json(&self) -> Value {
        let ours = self.median("millrace");
        let mut servers = Map::new();
        for (server, runs) in &self.runs {
            let median = Figures::median(runs);
            let rates: Vec<f64> = runs.iter().map(|run| run.per_second).collect();
            let mut entry = json!({"median": median, "spread": spread(&rates), "runs": runs});
            if let Some(ours) = ours.as_ref().filter(|_| *server != "millrace") {
                entry["millrace_over_this"] = json!({
                    "per_second": ours.per_second / median.per_second,
                    "p50": ours.p50_us / median.p50_us,
                    "p99": ours.p99_us / median.p99_us,
                    "cpu": ours.cpu_us / median.cpu_us,
                    "cpu_us_more": ours.cpu_us - median.cpu_us,
                });
            }
            servers.insert((*server).to_owned(), entry);
        }
        let mut all = self.more.clone();
        all.insert("servers".to_owned(), servers.into());
        all.into()
    }
}

/// The file of results. Rows that are measured again take the place of what they were.
pub struct Report {
    path: PathBuf,
    /// Of this run: command, commit, machine.
    about: Value,
    all: Map<String, Value>,
}

impl Report {
    /// Goes on with what the file holds.
    pub fn open(path: &Path, about: Value) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let all = serde_json::from_str(&text).unwrap_or_default();
        Self { path: path.to_owned(), about, all }
    }

    /// Something that wasn't measured, and why.
    pub fn skip(&mut self, what: &str, why: String) {
        eprintln!("  not measured: {what}: {why}");
        self.about["not_measured"][what] = why.into();
    }

    /// A row, written at once: what is measured is not lost.
    pub fn add(&mut self, row: &Row, measured: Measured) -> Result<()> {
        let mut entry = measured.json();
        entry["about"] = self.about.clone();
        entry["clients"] = row.clients.into();
        entry["about"]["load_average_after"] = load_average().into();
        let rows = self.all.entry("rows").or_insert_with(|| json!({}));
        rows[&row.id] = entry;
        let folder = self.path.parent().context("a file has a folder")?;
        std::fs::create_dir_all(folder)?;
        std::fs::write(&self.path, serde_json::to_string_pretty(&self.all)? + "\n")?;
        std::fs::write(self.path.with_extension("md"), self.table())?;
        Ok(())
    }

    fn table(&self) -> String {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        let mut text = format!(
            "# cargo xtask bench serve\n\nMade by the command; raw figures, the machine and what wasn't quiet in [{file}]({file}). \
             Medians; CPU is the server's for each request.\n"
        );
        for (id, row) in self.all.get("rows").and_then(Value::as_object).into_iter().flatten() {
            let servers: Vec<_> = row["servers"].as_object().into_iter().flatten().collect();
            let _ = write!(text, "\n## {id}\n");
            for (name, value) in row.as_object().into_iter().flatten().filter(|(_, value)| value.is_number()) {
                let _ = writeln!(text, "{name}: {value}");
            }
            for point in row["engine_runs"].as_array().into_iter().flatten() {
                let ms = point["ms"].as_f64().unwrap_or(f64::NAN);
                let _ = writeln!(text, "engine run of {} rows: {ms:.3} ms", point["rows"]);
            }
            if servers.is_empty() {
                continue;
            }
            text.push_str(
                "\n| server | requests/s | spread | p50 µs | p99 µs | CPU µs | MiB | millrace's rate over it |\n",
            );
            text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
            for (server, entry) in servers {
                let of = |key: &str| entry["median"][key].as_f64().unwrap_or(f64::NAN);
                let ratio = entry["millrace_over_this"]["per_second"].as_f64();
                let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
                let spread = entry["spread"].as_f64().unwrap_or(f64::NAN) * 100.0;
                let _ = writeln!(
                    text,
                    "| {server} | {:.0} | {spread:.0} % | {:.0} | {:.0} | {:.1} | {:.0} | {ratio} |",
                    of("per_second"),
                    of("p50_us"),
                    of("p99_us"),
                    of("cpu_us"),
                    of("resident_mib"),
                );
            }
        }
        text
    }
}

/// Processes that want the processor, over the last minute: above what the bench itself needs, others were at work.
pub fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// The machine, in the kernel's words.
pub fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let line = |text: &str, key: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        found.trim_start_matches([' ', '\t', ':']).to_owned()
    };
    json!({
        "processor": line(&read("/proc/cpuinfo"), "model name"),
        "cores": cores(),
        "memory": line(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_average_before": load_average(),
    })
}
