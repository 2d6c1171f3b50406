//! A run: servers of a model side by side, each row measured so often, in turn, so that what disturbs one disturbs all.

use crate::{
    case::{Case, Model},
    curve,
    figure::{Edge, Figures},
    limit::{
        engine_loop, floats,
        raw_loop::{Part, Service},
        sizes::{Sizes, mix},
    },
    load::{self, Load},
    loops::Loops,
    process,
    report::{Measured, Report},
    row::{Kind, Row},
    server::{self, Running, Server, Setup},
    wire::Wire,
};
use anyhow::{Context, Result};
use bytes::Bytes;
use millrace_bench::median::median;
use serde_json::json;
use std::{collections::BTreeMap, path::Path, process::Command, sync::Arc, time::Duration};

/// Batch sizes of the limits' loops, beside those that the server reached.
const BATCHES: [usize; 3] = [1, 4, 16];

/// At least so much of a run doesn't count: all clients come at once, and slow models take a while to be at work evenly.
const WARM_UP: Duration = Duration::from_secs(1);

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
    for model in [Model::Tiny, Model::Text, Model::RawText, Model::LongText, Model::Image, Model::RawImage] {
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
                Kind::Curve => self.curve()?,
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
        let _awake = running.awake();
        let load = Load {
            address: running.address(row.wire),
            wire: row.wire,
            requests,
            check: Arc::new(server::check(running.server, &self.case, row.wire)),
            clients: row.clients,
            threads: self.effort.threads.min(row.clients),
            rate,
            warm_up: (self.effort.measured / 5).max(WARM_UP),
            measured: self.effort.measured,
        };
        let before = running.batches()?;
        let mut edges = Vec::new();
        let summary =
            load::run(&load, || edges.push(Edge { server: running.program.usage(), generator: process::own() }))
                .with_context(|| format!("{} on {}", row.id, running.server.name()))?;
        let mut batches = running.batches()?;
        batches.iter_mut().for_each(|(rows, runs)| *runs -= before.get(rows).unwrap_or(&0));
        batches.retain(|_, runs| *runs > 0);
        Ok(Figures::of(&summary, [edges[0], edges[1]], batches))
    }

    /// The row's servers, again and again in turn; `after` is told of each run.
    fn side_by_side(
        &mut self,
        row: &Row,
        rate: Option<f64>,
        mut after: impl FnMut(&Self, Server, &Figures) -> Result<()>,
    ) -> Result<BTreeMap<&'static str, Vec<Figures>>> {
        let wanted = row.servers();
        let mut figures: BTreeMap<&'static str, Vec<Figures>> = BTreeMap::new();
        for _ in 0..self.effort.runs {
            for at in 0..self.running.len() {
                let server = self.running[at].server;
                if wanted.contains(&server) {
                    let one = self.once(at, row, rate)?;
                    after(self, server, &one)?;
                    figures.entry(server.name()).or_default().push(one);
                }
            }
        }
        Ok(figures)
    }

    fn closed(&mut self, row: &Row) -> Result<Measured> {
        let service = match self.case.model.is_raw() {
            true => {
                Some(Service::load(&server::arguments(self.setup, &self.case)?, &self.case.path, &self.case.bodies)?)
            }
            false => None,
        };
        let mut loops = Loops::default();
        let figures = self.side_by_side(row, None, |bench, server, figures| {
            // At once after the server that is held against them: what slows the machine for a while slows both.
            match server {
                Server::Millrace => bench.loops(service.as_ref(), &figures.batches, &mut loops),
                _ => Ok(()),
            }
        })?;
        let ours: Vec<f64> = figures[Server::Millrace.name()].iter().map(|run| run.per_second).collect();
        let mut measured = Measured::of(figures);
        loops.tell(&ours, &mut measured);
        Ok(measured)
    }

    /// A turn of the loops that are a limit of this model.
    fn loops(&self, service: Option<&Service>, reached: &BTreeMap<usize, u64>, loops: &mut Loops) -> Result<()> {
        let (bodies, time) = (&self.case.bodies, self.effort.measured);
        let each = BATCHES.map(|size| (Sizes::All(size), vec![size]));
        for (sizes, batches) in std::iter::once((Sizes::Reached, mix(reached))).chain(each) {
            match (self.case.model, service) {
                (Model::Text | Model::Image, _) => {
                    let (library, model) = (&self.setup.library, &self.case.path);
                    loops.add("engine_loop", sizes, engine_loop::run(library, model, bodies, &batches, time)?);
                }
                (_, Some(service)) => {
                    loops.add("engine_loop", sizes.clone(), service.run(Part::Engine, &batches, time)?);
                    loops.add("whole_loop", sizes, service.run(Part::Whole, &batches, time)?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn curve(&mut self) -> Result<Measured> {
        let ours = self.running.iter().find(|running| running.server == Server::Millrace).context("the server")?;
        let _awake = ours.awake();
        let mut measured = Measured::of(BTreeMap::new());
        measured.more("engine_runs", json!(curve::run(ours, &self.case, self.effort.measured, self.effort.runs)?));
        Ok(measured)
    }

    fn open(&mut self, row: &Row, share: f64) -> Result<Measured> {
        let nothing = |_: &Self, _, _: &Figures| Ok(());
        let closed = self.side_by_side(row, None, nothing)?;
        let peer = closed.get(Server::Triton.name()).or(closed.get(Server::Millrace.name()));
        let highest = Figures::median(peer.context("there is nobody to take the rate from")?).per_second;
        let mut measured = Measured::of(self.side_by_side(row, Some(highest * share), nothing)?);
        measured.more("due_per_second", json!(highest * share));
        Ok(measured)
    }

    fn memory(&mut self, row: &Row) -> Result<Measured> {
        let mut measured = Measured::of(self.side_by_side(row, None, |_, _, _| Ok(()))?);
        let mut command = Command::new(&self.setup.own);
        command.arg("resident").arg("--ort-library").arg(&self.setup.library).arg("--model").arg(&self.case.path);
        let output = command.output().context("the bare engine")?;
        let bare: f64 = String::from_utf8(output.stdout)?.trim().parse().context("the bare engine's memory")?;
        let own = measured.median(Server::Millrace.name()).context("the server's memory")?;
        measured.more("bare_engine_mib", json!(bare));
        measured.more("beyond_mib", json!(own.resident_mib - bare));
        measured.more("grown_mib", json!(own.grown_mib));
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
