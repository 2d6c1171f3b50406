//! The model as it is served: what every wire calls, whatever it is.

pub use crate::unit::next_answer;

use crate::{
    admit::Admission,
    answers::{Answer, Answers},
    engine::replaceable::EngineState,
    error::{Error, Kind},
    graph::Graph,
    metrics::{Metrics, Times},
    pipeline::{Pipeline, Raw},
    protocol::{
        data::Data,
        json_depth,
        request::{self, InferRequest},
        response,
        tensor::{Signature, Tensor},
    },
    queue::LANES,
    unit::{Turn, Unit, first_answer},
};
use millrace_crds::{
    Priority,
    report::{BatchReport, ServerReport, StartupReport},
};
use millrace_hop::limits::Limits;
use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::{Semaphore, mpsc::unbounded_channel};

/// Fixed facts of a served model.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// Namespace of the service.
    pub namespace: String,
    /// Revision of the service.
    pub revision: String,
    /// Version that clients see.
    pub version: String,
    /// What runs it, in the words of Triton's clients.
    pub platform: &'static str,
    /// Inputs and outputs.
    pub signature: Signature,
    /// Rows in a request at most.
    pub max_rows: usize,
    /// How large a request may be.
    pub limits: Limits,
    /// Longest time for a request.
    pub timeout: Duration,
    /// Lane of requests that don't name one.
    pub priority: Priority,
    /// What the start took.
    pub startup: StartupReport,
}

/// What is served.
pub enum Served {
    /// One model with these steps.
    Model(Arc<Pipeline>),
    /// A graph of models.
    Graph(Arc<Graph>),
}

/// What holds for one call beside its tensors.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// As Triton has it: 1 is the most urgent, 0 the service's own.
    pub priority: u64,
    /// When its answer must be there.
    pub deadline: Instant,
    /// How deep JSON may nest, if a graph reads any.
    pub json_depth: u32,
}

/// What is served, as one model to all clients.
pub struct Replica {
    /// Facts.
    pub facts: Facts,
    /// What is served.
    pub served: Served,
    /// Its models: one, or those of the graph.
    pub units: Arc<[Arc<Unit>]>,
    /// Its door.
    pub door: Arc<Admission>,
    /// Places for input steps. Each may hold a decoded image, and more of them than processors finish none sooner.
    pub preparing: Arc<Semaphore>,
    /// Its counters.
    pub metrics: Arc<Metrics>,
    /// Whether a probe should send traffic here.
    pub ready: AtomicBool,
    started: f64,
}

impl Replica {
    /// Models that are ready.
    #[must_use]
    pub fn new(
        facts: Facts,
        served: Served,
        units: Vec<Arc<Unit>>,
        door: Arc<Admission>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let preparing = Arc::new(Semaphore::new(processors.max(2)));
        Self { facts, served, units: units.into(), door, preparing, metrics, ready: AtomicBool::new(true), started }
    }

    /// Whether it takes requests: nobody has told it to end, and each model has an engine that is up.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst) && self.has_engine()
    }

    /// Whether each model has an engine that is up.
    #[must_use]
    pub fn has_engine(&self) -> bool {
        self.units.iter().all(|unit| unit.has_engine())
    }

    /// Whether it can still come back by itself.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.units.iter().all(|unit| unit.is_alive())
    }

    /// Ends the engine threads once nothing waits for them.
    pub fn stop(&self) {
        self.units.iter().for_each(|unit| unit.workers.stop());
    }

    /// How its engines fare, as far as they tell.
    pub fn engines(&self) -> impl Iterator<Item = &Arc<EngineState>> {
        self.units.iter().flat_map(|unit| &unit.engines)
    }

    /// Entries that wait for an engine.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.units.iter().map(|unit| unit.workers.depth()).sum()
    }

    /// Whether a raw body is read as JSON, given whether its content type is.
    #[must_use]
    pub fn reads_json(&self, json: bool) -> bool {
        match &self.served {
            Served::Model(pipeline) => pipeline.reads_json(json),
            Served::Graph(graph) => json || graph.reads_json(json),
        }
    }

    /// Checks the name and version of a call.
    ///
    /// # Errors
    /// 404.
    pub fn check_name(&self, name: &str, version: Option<&str>) -> Result<(), Error> {
        let facts = &self.facts;
        let qualified =
            name.strip_prefix(&*facts.namespace).and_then(|rest| rest.strip_prefix('.')) == Some(&*facts.name);
        if name != facts.name && !qualified {
            return Err(Error::new(Kind::NotFound, format!("there is no model {name:?} here")));
        }
        if version.is_some_and(|version| !version.is_empty() && version != facts.version) {
            return Err(Error::new(
                Kind::NotFound,
                format!("model {name:?} has no version {:?}", version.unwrap_or_default()),
            ));
        }
        Ok(())
    }

    /// When a request that came at `arrival` must be answered.
    #[must_use]
    pub fn deadline(&self, arrival: Instant, asked: Option<Duration>) -> Instant {
        arrival + asked.unwrap_or(self.facts.timeout).min(self.facts.timeout)
    }

    /// The lane of a request: it may be less urgent than its service, never more.
    #[must_use]
    pub fn lane(&self, priority: u64) -> usize {
        let own = match self.facts.priority {
            Priority::Critical => 0,
            Priority::Standard => 1,
            Priority::Batch => 2,
        };
        let asked = usize::try_from(priority).unwrap_or(LANES).saturating_sub(1).min(LANES - 2);
        if priority == 0 { own } else { own.max(asked) }
    }

    /// Checks a request and sends it to the engine; answers come one by one.
    ///
    /// # Errors
    /// A request that doesn't fit the model, or a full queue.
    pub fn infer(
        &self,
        inputs: Vec<Tensor>,
        wanted: &[request::Wanted],
        call: Call,
    ) -> Result<(Answers, usize), Error> {
        request::check_wanted(wanted, &self.facts.signature)?;
        let turn = Turn { lane: self.lane(call.priority), deadline: call.deadline };
        match (&self.served, &self.units[..]) {
            (Served::Model(_), [unit]) => unit.submit(inputs, turn),
            (Served::Graph(graph), _) => Ok((self.infer_graph(graph, inputs, turn, call.json_depth)?, 1)),
            _ => Err(Error::new(Kind::Engine, "there is no model")),
        }
    }

    /// A request as a tensor of one string through the graph; the answer is a string as well, of JSON.
    fn infer_graph(
        &self,
        graph: &Arc<Graph>,
        inputs: Vec<Tensor>,
        turn: Turn,
        json_depth: u32,
    ) -> Result<Answers, Error> {
        let (inputs, _) = request::fit(inputs, &self.facts.signature, 1)?;
        let body = match inputs.first().map(|tensor| &tensor.data) {
            Some(Data::Bytes(strings)) if !strings.is_empty() => strings[0].clone(),
            _ => return Err(Error::invalid("a request is one string of bytes")),
        };
        if self.reads_json(false) {
            json_depth::check(&body, json_depth)?;
        }
        let raw = Raw { body, json: false, deadline: Some(turn.deadline) };
        let name = self.facts.signature.outputs.first().map(|spec| spec.name.clone()).unwrap_or_default();
        let (graph, units, door) = (Arc::clone(graph), Arc::clone(&self.units), Arc::clone(&self.door));
        let (sender, receiver) = unbounded_channel();
        tokio::spawn(async move {
            let done = tokio::select! {
                done = graph.run(&units, &door, raw, turn) => done,
                // Nobody waits for it any more.
                () = sender.closed() => return,
            };
            let answer = done.and_then(|(value, times)| {
                let json = serde_json::to_vec(&value);
                let json = json.map_err(|_| Error::new(Kind::Engine, "the answer can't be written"))?;
                let outputs = vec![Tensor { name, shape: vec![1], data: Data::Bytes(vec![json.into()]) }];
                Ok(Answer { outputs, queued: times.queue, computed: times.infer })
            });
            let _ = sender.send(answer);
        });
        Ok(Answers::Coming(receiver))
    }

    /// The first answer of a request.
    ///
    /// # Errors
    /// As [`Self::infer`]; the engine failed; 504.
    pub async fn infer_once(
        &self,
        request: InferRequest,
        deadline: Instant,
        json_depth: u32,
    ) -> Result<(Vec<Tensor>, Times), Error> {
        let call = Call { priority: request.priority, deadline, json_depth };
        let (mut answers, rows) = self.infer(request.inputs, &request.outputs, call)?;
        let (outputs, times) = first_answer(&mut answers, rows, deadline).await?;
        Ok((response::select(outputs, &request.outputs), times))
    }

    /// What the scaler reads.
    #[must_use]
    pub fn report(&self) -> ServerReport {
        ServerReport {
            model: self.facts.name.clone(),
            revision: self.facts.revision.clone(),
            started_at: self.started,
            ready: self.is_ready(),
            queue_depth: self.depth() as u64,
            in_flight: self.door.in_flight(),
            completed: self.metrics.totals().completed,
            batches: self.batches(),
            startup: self.facts.startup.clone(),
            engine_build: self.units.iter().filter_map(|unit| Some(unit.build.as_ref()?.get())).max(),
        }
    }

    /// Engine runs by size. Of a graph, a request is one run: it takes the time that the models together have for it.
    #[allow(clippy::cast_precision_loss)] // of nanoseconds
    fn batches(&self) -> Vec<BatchReport> {
        let Served::Graph(_) = &self.served else { return self.metrics.batches() };
        let totals = self.metrics.totals();
        let nanos: u64 = totals.batches.values().map(|span| span.nanos).sum();
        let count = totals.success.count;
        if count == 0 { Vec::new() } else { vec![BatchReport { size: 1, count, seconds: nanos as f64 / 1e9 }] }
    }
}
