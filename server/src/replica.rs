//! The model as it is served: what every wire calls, whatever it is.

use crate::{
    admit::Admission,
    engine::{better::BuildState, replaceable::EngineState},
    error::{Error, Kind},
    metrics::{Metrics, Times},
    pipeline::Pipeline,
    protocol::{
        request::{self, InferRequest},
        response,
        tensor::{Signature, Tensor},
    },
    queue::LANES,
    worker::{Answers, Workers},
};
use millrace_crds::{
    Priority,
    report::{ServerReport, StartupReport},
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
use tokio::sync::Semaphore;

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

/// A served model.
pub struct Replica {
    /// Facts.
    pub facts: Facts,
    /// Its pipeline.
    pub pipeline: Pipeline,
    /// Its door.
    pub door: Arc<Admission>,
    /// Places for input steps. Each may hold a decoded image, and more of them than processors finish none sooner.
    pub preparing: Arc<Semaphore>,
    /// Its engine threads.
    pub workers: Arc<Workers>,
    /// Its counters.
    pub metrics: Arc<Metrics>,
    /// Whether a probe should send traffic here.
    pub ready: AtomicBool,
    /// How its engines fare, as far as they tell.
    pub engines: Vec<Arc<EngineState>>,
    /// How the build of better engines fares, if there is one.
    pub build: Option<Arc<BuildState>>,
    started: f64,
}

impl Replica {
    /// A model that is ready.
    #[must_use]
    pub fn new(
        facts: Facts,
        pipeline: Pipeline,
        door: Arc<Admission>,
        workers: Arc<Workers>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            facts,
            pipeline,
            door,
            preparing: Arc::new(Semaphore::new(processors.max(2))),
            workers,
            metrics,
            ready: AtomicBool::new(true),
            engines: Vec::new(),
            build: None,
            started,
        }
    }

    /// The same, whose engines tell how they fare.
    #[must_use]
    pub fn watching(self, engines: Vec<Arc<EngineState>>, build: Option<Arc<BuildState>>) -> Self {
        Self { engines, build, ..self }
    }

    /// Whether it takes requests: nobody has told it to end, and an engine is up.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst) && self.has_engine()
    }

    /// Whether an engine is up.
    #[must_use]
    pub fn has_engine(&self) -> bool {
        self.engines.is_empty() || self.engines.iter().any(|engine| engine.is_up())
    }

    /// Whether it can still come back by itself.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.engines.is_empty() || !self.engines.iter().all(|engine| engine.is_lost())
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
    fn lane(&self, priority: u64) -> usize {
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
        priority: u64,
        deadline: Instant,
    ) -> Result<(Answers, usize), Error> {
        request::check_wanted(wanted, &self.facts.signature)?;
        let (inputs, rows) = request::fit(inputs, &self.facts.signature, self.facts.max_rows)?;
        Ok((self.workers.submit(inputs, rows, self.lane(priority), deadline)?, rows))
    }

    /// The first answer of a request.
    ///
    /// # Errors
    /// As [`Self::infer`]; the engine failed; 504.
    pub async fn infer_once(&self, request: InferRequest, deadline: Instant) -> Result<(Vec<Tensor>, Times), Error> {
        let (mut answers, rows) = self.infer(request.inputs, &request.outputs, request.priority, deadline)?;
        let answer = next_answer(&mut answers, deadline)
            .await?
            .ok_or_else(|| Error::new(Kind::Engine, "the model gave no answer"))?;
        let outputs = response::select(answer.outputs, &request.outputs);
        Ok((outputs, Times { rows, queue: answer.queued, infer: answer.computed, ..Times::default() }))
    }

    /// What the scaler reads.
    #[must_use]
    pub fn report(&self) -> ServerReport {
        ServerReport {
            model: self.facts.name.clone(),
            revision: self.facts.revision.clone(),
            started_at: self.started,
            ready: self.is_ready(),
            queue_depth: self.workers.depth() as u64,
            in_flight: self.door.in_flight(),
            completed: self.metrics.totals().completed,
            batches: self.metrics.batches(),
            startup: self.facts.startup.clone(),
            engine_build: self.build.as_ref().map(|build| build.get()),
        }
    }
}

/// The next answer before the deadline; `None`: there are no more.
///
/// # Errors
/// The engine failed, or 504.
pub async fn next_answer(answers: &mut Answers, deadline: Instant) -> Result<Option<crate::worker::Answer>, Error> {
    tokio::time::timeout_at(deadline.into(), answers.recv())
        .await
        .map_err(|_| Error::new(Kind::Deadline, "the deadline passed"))?
        .transpose()
}
