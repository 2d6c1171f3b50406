//! An engine that throws, breaks or hangs: it fails its own batch, is replaced, and health tells of it.

use crate::support::{Serving, infer_body};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use millrace_crds::manifest::Manifest;
use millrace_server::{
    answers::Answers,
    engine::{
        Engine, EngineError,
        fake::{FakeEngine, Gate, Told},
        replaceable::{Maker, Replaceable},
    },
    error::Kind,
    health,
    metrics::Metrics,
    protocol::{
        data::Data,
        tensor::{Signature, Tensor},
    },
    queue::Bounds,
    replica::next_answer,
    warm_up::WarmUp,
    worker::{WorkOptions, Workers},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::ThreadId,
    time::{Duration, Instant},
};

const MANIFEST: &str = "apiVersion: millrace.dev/v1alpha1\nkind: InferenceService\nmetadata: {name: fake}\nspec: {model: {uri: 's3://models/fake.onnx'}}\n";

/// Makes fake engines for as long as it may.
#[derive(Clone, Default)]
struct Works {
    made: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Works {
    fn engine(&self, gates: Vec<Gate>) -> Box<dyn Engine> {
        let works = self.clone();
        let make: Maker = Arc::new(move || {
            let made = works.made.fetch_add(1, Ordering::SeqCst);
            if works.stopped.load(Ordering::SeqCst) {
                return Err(EngineError::Failed("the file is gone".to_owned()));
            }
            Ok(Box::new(FakeEngine::new(1, gates.get(made).cloned().unwrap_or_default())))
        });
        Box::new(Replaceable::new(make().unwrap(), make))
    }

    async fn serving(&self) -> Serving {
        Serving::over(&Manifest::from_yaml(MANIFEST).unwrap(), vec![self.engine(Vec::new())], None).await
    }
}

/// What a probe says.
async fn probe(serving: &Serving, path: &str) -> (u16, String) {
    let slot = health::Slot::default();
    assert!(slot.set(Arc::clone(&serving.replica)).is_ok());
    let response = health::answer(slot, Request::get(path).body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status.as_u16(), String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned())
}

#[tokio::test]
async fn what_throws_or_breaks_fails_its_own_batch_and_is_replaced() {
    for (told, sessions) in [(Told::Fail, 1), (Told::Panic, 2), (Told::Break, 2)] {
        let works = Works::default();
        let serving = works.serving().await;
        assert_eq!(probe(&serving, "/readyz").await, (200, "ok".to_owned()));
        let (status, text) = serving.post("/v2/models/fake/infer", &infer_body(&[told.value(), 0.0])).await;
        assert_eq!(status, 500, "{told:?}: {text}");
        assert!(!text.contains("told") && !text.contains("secret"), "the engine's words stay inside: {text}");
        for _ in 0..3 {
            assert_eq!(serving.infer(1.0).await.0, 200, "{told:?} failed another request");
        }
        assert_eq!(works.made.load(Ordering::SeqCst), sessions, "{told:?}");
        let (status, text) = probe(&serving, "/readyz").await;
        assert_eq!((status, text.contains("replaced")), (200, sessions > 1), "{told:?}: {text}");
    }
}

/// Probes come without a certificate: nothing else is answered there.
#[tokio::test]
async fn where_probes_are_answered_nothing_else_is() {
    let serving = Works::default().serving().await;
    for path in
        ["/", "/metrics", "/report", "/openapi.json", "/v2", "/v2/models/fake", "/process", "/readyz/../metrics"]
    {
        assert_eq!(probe(&serving, path).await, (404, "no such probe".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn without_another_engine_it_isnt_ready_and_in_the_end_not_alive() {
    let works = Works::default();
    let serving = works.serving().await;
    works.stopped.store(true, Ordering::SeqCst);
    serving.post("/v2/models/fake/infer", &infer_body(&[Told::Panic.value(), 0.0])).await;
    serving.until(|| !serving.replica.is_ready()).await;
    assert_eq!(probe(&serving, "/readyz").await.0, 503);
    assert_eq!(serving.get("/v2/health/ready").await.0, 503);
    assert_eq!(probe(&serving, "/livez").await.0, 200, "it may still come back");
    // It comes back as soon as an engine can be made.
    works.stopped.store(false, Ordering::SeqCst);
    serving.until(|| serving.replica.is_ready()).await;
    assert_eq!(serving.infer(1.0).await.0, 200);
    // If none ever can, a new process has better chances.
    works.stopped.store(true, Ordering::SeqCst);
    serving.post("/v2/models/fake/infer", &infer_body(&[Told::Panic.value(), 0.0])).await;
    let begun = Instant::now();
    while serving.replica.is_alive() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(probe(&serving, "/livez").await.0, 500);
}

#[tokio::test]
async fn a_batch_that_hangs_is_failed_and_its_engine_replaced() {
    let (gate, works) = (Gate::default(), Works::default());
    let engine = works.engine(vec![gate.clone()]);
    let state = Arc::clone(engine.spare().unwrap().state());
    let bounds = Bounds { entries: 100, bytes: 1 << 20, rows: 2, delay: Duration::ZERO };
    let options = WorkOptions {
        bounds,
        warm_up: WarmUp::default(),
        inline: false,
        processor: true,
        hang: Duration::from_millis(100),
    };
    let (workers, mut threads) = Workers::start(vec![engine], options, Metrics::new("fake", "none").runs()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let submit = || {
        let row = Tensor { name: "x".to_owned(), shape: vec![1, 2], data: Data::Fp32(vec![1.0, 0.0]) };
        workers.submit(vec![row], 1, 0, deadline).unwrap()
    };
    gate.close();
    let mut stuck = submit();
    let error = next_answer(&mut stuck, deadline).await.unwrap_err();
    assert_eq!(error.kind, Kind::Engine, "{error}");
    // What came meanwhile, and what comes now, is answered by the new one.
    let answer = next_answer(&mut submit(), deadline).await.unwrap().unwrap();
    assert_eq!(answer.outputs[0].data, Data::Fp32(vec![2.0, 1.0]));
    assert_eq!((works.made.load(Ordering::SeqCst), state.replaced(), state.is_up()), (2, 1, true));
    // The thread that hung ends when it comes back, and answers nobody twice.
    gate.open();
    let hung = threads.remove(0);
    tokio::task::spawn_blocking(move || hung.join().unwrap()).await.unwrap();
    assert!(next_answer(&mut stuck, deadline).await.unwrap().is_none());
    assert_eq!(next_answer(&mut submit(), deadline).await.unwrap().unwrap().outputs.len(), 1);
    workers.stop();
}

/// A request that runs on the thread that brought it has nobody else to answer it: health tells, and a new process is the
/// cure. Others are answered meanwhile.
#[tokio::test]
async fn a_lone_request_that_hangs_is_told_by_health() {
    let (gate, works) = (Gate::default(), Works::default());
    let bounds = Bounds { entries: 100, bytes: 1 << 20, rows: 2, delay: Duration::ZERO };
    let options = WorkOptions {
        bounds,
        warm_up: WarmUp::default(),
        inline: true,
        processor: true,
        hang: Duration::from_millis(100),
    };
    let engines = vec![works.engine(vec![gate.clone()])];
    let (workers, _threads) = Workers::start(engines, options, Metrics::new("fake", "none").runs()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let submit = move |workers: &Workers| {
        let row = Tensor { name: "x".to_owned(), shape: vec![1, 2], data: Data::Fp32(vec![1.0, 0.0]) };
        workers.submit(vec![row], 1, 0, deadline).unwrap()
    };
    // How quick the model is shows from the first runs on: then nothing is sent to its thread any more.
    let mut in_place = false;
    while !in_place {
        let mut answers = submit(&workers);
        in_place = matches!(answers, Answers::Here(_));
        next_answer(&mut answers, deadline).await.unwrap();
    }
    gate.close();
    let hung = std::thread::spawn({
        let workers = Arc::clone(&workers);
        move || submit(&workers)
    });
    let begun = Instant::now();
    while !workers.is_stuck() {
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody sees that it hangs");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The thread of the engine that hangs may have taken it: then it hands it back.
    let answer = next_answer(&mut submit(&workers), deadline).await.unwrap().unwrap();
    assert_eq!(answer.outputs[0].data, Data::Fp32(vec![2.0, 1.0]));
    gate.open();
    let mut late = tokio::task::spawn_blocking(move || hung.join().unwrap()).await.unwrap();
    assert_eq!(next_answer(&mut late, deadline).await.unwrap_err().kind, Kind::Engine, "it was given up");
    workers.stop();
}

/// An engine that notes the threads of its runs.
struct Noting {
    engine: FakeEngine,
    threads: Arc<Mutex<Vec<(ThreadId, usize)>>>,
}

impl Engine for Noting {
    fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    fn run(&mut self, inputs: &[Tensor], answer: &mut dyn FnMut(Vec<Tensor>)) -> Result<(), EngineError> {
        self.threads.lock().unwrap().push((std::thread::current().id(), inputs[0].shape[0]));
        self.engine.run(inputs, answer)
    }
}

/// On a GPU, what a run launches is recorded for its thread: what one thread records, another would record again on live
/// traffic.
#[tokio::test]
async fn engines_warm_up_on_the_thread_that_serves_also_those_that_come_later() {
    let threads: Arc<Mutex<Vec<(ThreadId, usize)>>> = Arc::default();
    let noted = Arc::clone(&threads);
    let make: Maker = Arc::new(move || {
        Ok(Box::new(Noting { engine: FakeEngine::new(1, Gate::default()), threads: Arc::clone(&noted) }))
    });
    let engines: Vec<Box<dyn Engine>> = vec![Box::new(Replaceable::new(make().unwrap(), make))];
    let text =
        format!("{MANIFEST}  batching: {{maxSize: 4, buckets: [1, 2]}}\n  runtime: {{executionProviders: [CUDA]}}\n");
    let text =
        text.replace("spec: {model: {uri: 's3://models/fake.onnx'}}", "spec:\n  model: {uri: 's3://models/fake.onnx'}");
    let serving = Serving::over(&Manifest::from_yaml(&text).unwrap(), engines, None).await;
    let seen = || threads.lock().unwrap().clone();
    let rows = |seen: &[(ThreadId, usize)]| seen.iter().map(|(_, rows)| *rows).collect::<Vec<_>>();
    assert_eq!(rows(&seen()), [1, 2], "each batch size, before it is ready");
    assert_eq!(serving.infer(1.0).await.0, 200);
    assert_eq!(serving.post("/v2/models/fake/infer", &infer_body(&[Told::Panic.value(), 0.0])).await.0, 500);
    serving.until(|| seen().len() == 6).await;
    assert_eq!(serving.infer(1.0).await.0, 200);
    let seen = seen();
    assert_eq!(rows(&seen), [1, 2, 1, 1, 1, 2, 1], "the one that takes its place as well");
    assert!(seen.iter().all(|(thread, _)| *thread == seen[0].0 && *thread != std::thread::current().id()), "{seen:?}");
}

/// Tensors that the model can't be run on are their sender's fault: others of the batch are answered, and the engine stays.
#[tokio::test]
async fn what_a_caller_sends_fails_nobody_else() {
    let (gate, works) = (Gate::default(), Works::default());
    let engine = works.engine(vec![gate.clone()]);
    let serving = Serving::over(&Manifest::from_yaml(MANIFEST).unwrap(), vec![engine], None).await;
    gate.close();
    let busy = serving.spawn_infer(1.0);
    serving.until(|| gate.batches().len() == 2).await;
    let bad: Vec<_> = (0..3).map(|_| serving.spawn_infer(Told::Refuse.value())).collect();
    let good: Vec<_> = (0..3).map(|_| serving.spawn_infer(5.0)).collect();
    serving.until(|| serving.replica.depth() == 6).await;
    gate.open();
    assert_eq!(busy.await.unwrap().0, 200);
    for answer in bad {
        let (status, _, text) = answer.await.unwrap();
        assert_eq!(status, 422, "{text}");
        assert!(text.contains("can't be run on these tensors") && !text.contains("secret"), "{text}");
    }
    for answer in good {
        let (status, _, text) = answer.await.unwrap();
        assert_eq!(status, 200, "{text}");
        assert!(text.contains("\"data\":[6"), "its own rows: {text}");
    }
    assert_eq!(works.made.load(Ordering::SeqCst), 1);
    assert_eq!(probe(&serving, "/readyz").await, (200, "ok".to_owned()));
}
