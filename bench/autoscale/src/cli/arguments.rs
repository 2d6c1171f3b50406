//! Arguments.

use clap::{Parser, ValueEnum};
use millrace_autoscale::case::Case;
use millrace_autoscale::generate::Generator;
use std::path::PathBuf;

/// What is run
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// The law, rivals tuned in hindsight, and bounds on each case: a table
    Table,
    /// The law alone: a line for each case
    Law,
    /// Fluid against events, on each case under the law and two rivals
    Check,
    /// H100 and L40S, on premises, cloud and spot, at three lists of prices
    Mixed,
    /// Rarely used models against six hours of keep-alive
    Rare,
    /// Lost, late and broken reports, pools that never provision or vanish
    Faults,
    /// Time and memory of one pass over many services
    Fleet,
    /// When each request of a run on a cluster is to be sent (`--cluster` calls it)
    Schedule,
    /// What a run on a cluster measured, beside the simulator (`--cluster` calls it)
    Cluster,
}

/// The scaling law in simulation, against rivals and bounds
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask bench autoscale")]
pub struct Arguments {
    /// What is run
    #[arg(value_enum, default_value = "table")]
    pub what: What,
    /// A trace file (CSV, .gz allowed); may be given several times
    #[arg(long, value_name = "FILE")]
    pub trace: Vec<PathBuf>,
    /// A generator; may be given several times; without any trace or generator: all generators
    #[arg(long, value_enum, value_delimiter = ',')]
    pub generate: Vec<Generator>,
    /// Kinds of service
    #[arg(long, value_delimiter = ',', default_value = "fast,text,images,heavy")]
    pub service: Vec<String>,
    /// Mean seconds of a start
    #[arg(long, value_delimiter = ',', default_value = "5,15,60,300")]
    pub start: Vec<f64>,
    /// Measured start times in milliseconds, one a row: fetch and load are drawn from them, scaled to their mean
    #[arg(long, value_name = "FILE")]
    pub load_times: Option<PathBuf>,
    /// Hours of each trace
    #[arg(long, default_value_t = 48.0)]
    pub hours: f64,
    /// Hours of each trace file that are left out at its start
    #[arg(long, default_value_t = 0.0)]
    pub from_hours: f64,
    /// Scale the rate so that the mean load needs so many replicas (0: leave the rate, times --rate-factor)
    #[arg(long, default_value_t = 4.0)]
    pub load: f64,
    /// Factor on the rate of trace files, with --load 0
    #[arg(long, default_value_t = 1.0)]
    pub rate_factor: f64,
    /// Factor on the time of trace files: 0.5 plays them in half the time
    #[arg(long, default_value_t = 1.0)]
    pub time_factor: f64,
    /// Seconds of a bin of trace files whose name doesn't tell
    #[arg(long)]
    pub bin: Option<f64>,
    /// Simulate requests one by one up to so many, beyond that as a fluid
    #[arg(long, default_value_t = 1_500_000)]
    pub events_up_to: u64,
    /// Seed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Percent in time that is asked (law, check, mixed, faults; the table asks 99 and 99.9)
    #[arg(long, default_value_t = 99.0)]
    pub asked: f64,
    /// law: write a picture (SVG) of each run into this folder
    #[arg(long, value_name = "FOLDER")]
    pub pictures: Option<PathBuf>,
    /// law: print decisions
    #[arg(long)]
    pub decisions: bool,
    /// law: record every pass, one line of JSON each, as the operator does with --record-decisions
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Decide again what was recorded, and show what comes out differently
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// schedule: minutes
    #[arg(long, default_value_t = 10.0)]
    pub minutes: f64,
    /// schedule: mean requests per second
    #[arg(long, default_value_t = 5.0)]
    pub mean_rate: f64,
    /// cluster: what was measured
    #[arg(long, value_name = "FILE")]
    pub run: Option<PathBuf>,
    /// Join tables that were made in parts: their JSON files; may be given several times
    #[arg(long, value_name = "FILE")]
    pub join: Vec<PathBuf>,
    /// table: run the law alone, and take rivals and bounds from tables that were made before: their JSON files
    #[arg(long, value_name = "FILE")]
    pub known: Vec<PathBuf>,
    /// table: where the law misses, run it over so many hours as well
    #[arg(long, value_name = "HOURS")]
    pub longer: Option<f64>,
    /// rare: models; fleet: services
    #[arg(long)]
    pub count: Option<usize>,
    /// Threads, at most 2
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// Where tables go
    #[arg(long, value_name = "FOLDER", default_value = "bench/results")]
    pub output: PathBuf,
    /// Name of the table's files; without: autoscale, with what was run
    #[arg(long)]
    pub name: Option<String>,
}

impl Arguments {
    /// The arguments as they were typed.
    #[must_use]
    pub fn command() -> String {
        // Where a trace lies on this machine says nothing to others.
        let file = |argument: String| argument.rsplit('/').next().map(str::to_owned).unwrap_or(argument);
        let typed = std::env::args().skip(1).map(file).collect::<Vec<_>>().join(" ");
        format!("cargo xtask bench autoscale {typed}").trim_end().to_owned()
    }

    /// Whether the requests of a case are simulated one by one.
    #[must_use]
    pub fn by_events(&self, case: &Case) -> bool {
        case.trace.total() <= self.events_up_to
    }

    /// A result file.
    #[must_use]
    pub fn file(&self, ending: &str) -> PathBuf {
        let default = || match self.what {
            What::Table => "autoscale".to_owned(),
            what => format!("autoscale-{what:?}").to_lowercase(),
        };
        self.output.join(format!("{}.{ending}", self.name.clone().unwrap_or_else(default)))
    }
}
