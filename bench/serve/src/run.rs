//! A run: servers of a model side by side, each row measured so often, in turn, so that what disturbs one disturbs all.

use crate::{
    case::{Case, Model},
    figure::Figures,
    limit::{engine_loop, floats},
    load::{self, Load},
    report::{Measured, Report},
    row::{Kind, Row},
    server::{self, Running, Server, Setup},
    wire::Wire,
};
use anyhow::{Context, Result};
use bytes::Bytes;
use millrace_bench::median::{median, spread};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path, process::Command, sync::Arc, time::Duration};

/// Batch sizes of the engine's loop.
const BATCHES: [usize; 3] = [1, 4, 16];

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// What counts of each run.
    pub measured: Duration,
    /// Runs of each row and server.
    pub runs: usize,
    /// Threads of the generator.
    pub threads: usize,
}

/// Measures rows of one model after the other.
pub fn run(rows: &[Row], setup: &Setup, models: &Path, effort: Effort, report: &mut Report) -> Result<()> {
    for model in [Model::Tiny, Model::Text, Model::RawText, Model::Image, Model::RawImage] {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.model == model).collect();
        if rows.is_empty() {
            continue;
        }
        if !models.join(model.file()).is_file() {
            report.skip(model.name(), format!("there is no {}", model.file()));
            continue;
        }
        if model.is_raw() && !Server::Fastapi.is_installed(setup) {
            report.skip(model.name(), "the peer fastapi has its reference, and is not installed".to_owned());
            continue;
        }
        eprintln!("{}: bodies, and what must be said of them", model.name());
        let case = Case::make(
            model,
            models,
            &setup.library,
            &mut server::reference(setup, model, &models.join(model.file())),
        )?;
        Bench { setup, case, effort, running: Vec::new(), requests: BTreeMap::new() }.rows(&rows, report)?;
    }
    Ok(())
}

/// A model's servers, and what is sent to them.
struct Bench<'a> {
    setup: &'a Setup,
    case: Case,
    effort: Effort,
    running: Vec<Running>,
    requests: BTreeMap<Wire, Arc<Vec<Bytes>>>,
}

impl Bench<'_> {
    fn rows(&mut self, rows: &[&Row], report: &mut Report) -> Result<()> {
        for server in Server::ALL {
            if !rows.iter().any(|row| row.servers().contains(&server)) {
                continue;
            }
            if !server.is_installed(self.setup) {
                report.skip(server.name(), "it is not installed".to_owned());
                continue;
            }
            eprintln!("  starting {}", server.name());
            match Running::start(server, self.setup, &self.case) {
                Ok(running) => self.running.push(running),
                Err(error) if server.is_peer() => report.skip(server.name(), format!("{error:#}")),
                Err(error) => return Err(error),
            }
        }
        for row in rows {
            let measured = match row.kind {
                Kind::Floats => self.floats()?,
                Kind::Memory => self.memory(row)?,
                Kind::Closed => self.closed(row)?,
                Kind::Open(share) => self.open(row, share)?,
            };
            eprintln!("{}", measured.line(&row.id));
            report.add(row, measured)?;
        }
        Ok(())
    }

    fn requests(&mut self, wire: Wire) -> Arc<Vec<Bytes>> {
        let (name, bodies) = (self.case.model.name(), &self.case.bodies);
        let made = || Arc::new(bodies.iter().map(|body| wire.request(name, body)).collect());
        Arc::clone(self.requests.entry(wire).or_insert_with(made))
    }

    /// One run on one server.
    fn once(&mut self, at: usize, row: &Row, rate: Option<f64>) -> Result<Figures> {
        let requests = self.requests(row.wire);
        let running = &self.running[at];
        let load = Load {
            address: running.address(row.wire),
            wire: row.wire,
            requests,
            check: Arc::new(server::check(running.server, &self.case, row.wire)),
            clients: row.clients,
            threads: self.effort.threads.min(row.clients),
            rate,
            warm_up: self.effort.measured / 5,
            measured: self.effort.measured,
        };
        let mut usage = Vec::new();
        let summary = load::run(&load, || usage.push(running.program.usage()))
            .with_context(|| format!("{} on {}", row.id, running.server.name()))?;
        Ok(Figures::of(&summary, [usage[0], usage[1]]))
    }

    /// The row's servers, again and again in turn.
    fn side_by_side(&mut self, row: &Row, rate: Option<f64>) -> Result<BTreeMap<&'static str, Vec<Figures>>> {
        let wanted = row.servers();
        let mut figures: BTreeMap<&'static str, Vec<Figures>> = BTreeMap::new();
        for _ in 0..self.effort.runs {
            for at in 0..self.running.len() {
                let server = self.running[at].server;
                if wanted.contains(&server) {
                    let one = self.once(at, row, rate)?;
                    figures.entry(server.name()).or_default().push(one);
                }
            }
        }
        Ok(figures)
    }

    fn closed(&mut self, row: &Row) -> Result<Measured> {
        let mut measured = Measured::of(self.side_by_side(row, None)?);
        if matches!(self.case.model, Model::Text | Model::Image) {
            measured.more("engine_loop", self.engine_loop()?);
        }
        Ok(measured)
    }

    /// The bare engine at several batch sizes; the fastest is the limit.
    fn engine_loop(&self) -> Result<Value> {
        let mut loops = Vec::new();
        for batch in BATCHES {
            let mut rates = Vec::new();
            for _ in 0..self.effort.runs {
                let (library, model) = (&self.setup.library, &self.case.path);
                let looped = engine_loop::run(library, model, &self.case.bodies, batch, self.effort.measured)?;
                rates.push(looped.rows_per_second);
            }
            let (rate, spread) = (median(rates.clone()), spread(&rates));
            loops.push(json!({"batch": batch, "per_second": rate, "spread": spread, "runs": rates}));
        }
        let most = loops.iter().filter_map(|one| one["per_second"].as_f64()).fold(0.0, f64::max);
        Ok(json!({"per_second": most, "batches": loops}))
    }

    fn open(&mut self, row: &Row, share: f64) -> Result<Measured> {
        let closed = self.side_by_side(row, None)?;
        let peer = closed.get(Server::Triton.name()).or(closed.get(Server::Millrace.name()));
        let highest = Figures::median(peer.context("there is nobody to take the rate from")?).per_second;
        let mut measured = Measured::of(self.side_by_side(row, Some(highest * share))?);
        measured.more("due_per_second", json!(highest * share));
        Ok(measured)
    }

    fn memory(&mut self, row: &Row) -> Result<Measured> {
        let mut measured = Measured::of(self.side_by_side(row, None)?);
        let mut command = Command::new(&self.setup.own);
        command.arg("resident").arg("--ort-library").arg(&self.setup.library).arg("--model").arg(&self.case.path);
        let output = command.output().context("the bare engine")?;
        let bare: f64 = String::from_utf8(output.stdout)?.trim().parse().context("the bare engine's memory")?;
        let own = measured.median(Server::Millrace.name()).map(|figures| figures.resident_mib);
        measured.more("bare_engine_mib", json!(bare));
        measured.more("beyond_mib", json!(own.map(|own| own - bare)));
        Ok(measured)
    }

    fn floats(&self) -> Result<Measured> {
        let mut measured = Measured::of(BTreeMap::new());
        let body = &self.case.bodies[0];
        let runs: Result<Vec<_>> = (0..self.effort.runs).map(|_| floats::run(body, self.effort.measured)).collect();
        let runs = runs?;
        measured.more("ratio", json!(median(runs.iter().map(|run| run.ratio).collect())));
        measured.more("runs", json!(runs));
        Ok(measured)
    }
}
