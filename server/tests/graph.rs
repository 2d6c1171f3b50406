//! A graph of models with fake engines: what requests share and what they don't, limits, cancellation, and the wire.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

mod support;

use image::{DynamicImage, GrayImage, ImageFormat, Luma};
use millrace_crds::manifest::Manifest;
use millrace_server::{
    engine::{
        Engine,
        fake::{FakeEngine, Gate},
    },
    graph::build::{Loaded, build},
    model::Fetched,
};
use serde_json::{Value, json};
use std::{io::Cursor, sync::Arc, time::Duration};
use support::Serving;
use tokio::task::JoinHandle;

/// A fake adds one to what it gets: the detector gives the image's brightness back, and the classifier the brightness of
/// the left and of the right half of a region, times 255, less 999.
const MANIFEST: &str = r#"
apiVersion: millrace.dev/v1alpha1
kind: InferenceService
metadata: {name: fake, namespace: team}
spec:
  models:
    - {name: detect, uri: 's3://models/detect.onnx'}
    - {name: classify, uri: 's3://models/classify.onnx'}
  pipeline:
    steps:
      - name: image
        decodeImage: {color: Gray, maxPixels: 10000}
      - name: found
        from: [image]
        infer:
          model: detect
          preprocess: [{normalize: {mean: [1]}}]
          postprocess: [{regions: {expand: 0}}]
      - name: cut
        from: [image, found]
        crop: {maxItems: 4, maxPixels: 2000}
      - name: side
        from: [cut]
        infer:
          model: classify
          preprocess: [{resize: {width: 2, height: 1, filter: Nearest}}, {normalize: {scale: 1, mean: [1000]}}]
          postprocess: [{argmax: {labels: {values: [left, right]}}}]
      - name: answer
        from: [side, found]
        combine:
          fields:
            - {name: side, step: side, field: label}
            - {name: box, step: found, field: box}
  batching: {maxSize: 8, maxQueue: 16}
  runtime: {executionProviders: [CPU]}
"#;

struct Bed {
    serving: Serving,
    detect: Gate,
    classify: Gate,
}

impl Bed {
    async fn start(manifest: &str) -> Self {
        let (detect, classify) = (Gate::default(), Gate::default());
        let loaded = |name: &str, gate: &Gate, shape: &[i64]| Loaded {
            name: name.to_owned(),
            provided: vec![Box::new(FakeEngine::new(1, gate.clone()).shaped(shape)) as Box<dyn Engine>].into(),
            fetched: Arc::new(Fetched::nowhere()),
        };
        let models = vec![loaded("detect", &detect, &[-1, 1, -1, -1]), loaded("classify", &classify, &[-1, 1, 1, 2])];
        let (replica, _threads) = build(&Manifest::from_yaml(manifest).unwrap(), models, [Duration::ZERO; 2]).unwrap();
        let bed = Self { serving: Serving::with(replica).await, detect, classify };
        // The classifier was run once on zeros; the detector's sizes vary with the image.
        assert_eq!((bed.detect.batches(), bed.classify.batches()), (vec![], vec![1]));
        bed
    }

    fn post(&self, body: Vec<u8>) -> JoinHandle<(u16, String)> {
        let address = self.serving.address;
        tokio::spawn(async move { Serving::post_raw(address, "/process", body).await })
    }

    /// Rows of the classifier's runs after the warm-up.
    fn batches(&self) -> Vec<usize> {
        self.classify.batches()[1..].to_vec()
    }

    /// A request whose one region keeps the classifier busy until its gate opens.
    async fn busy(&self) -> JoinHandle<(u16, String)> {
        self.classify.close();
        let first = self.post(image(&[true]));
        self.serving.until(|| self.batches() == [1]).await;
        first
    }
}

/// White regions one below the other, each with a darker half: on the right where the entry is `true`.
fn image(regions: &[bool]) -> Vec<u8> {
    let mut image = GrayImage::new(40, u32::try_from(regions.len() * 20 + 4).unwrap());
    for (row, left) in (0u32..).zip(regions) {
        for (x, y) in (4..36).flat_map(|x| (4..16).map(move |y| (x, row * 20 + y))) {
            image.put_pixel(x, y, Luma([if (x < 20) == *left { 255 } else { 200 }]));
        }
    }
    encoded(image)
}

fn encoded(image: GrayImage) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    DynamicImage::from(image).write_to(&mut out, ImageFormat::Png).unwrap();
    out.into_inner()
}

fn sides(answer: &(u16, String)) -> Vec<String> {
    assert_eq!(answer.0, 200, "{}", answer.1);
    let answer: Value = serde_json::from_str(&answer.1).unwrap();
    answer.as_array().unwrap().iter().map(|one| one["side"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn regions_fan_out_and_come_together_in_their_order() {
    let bed = Bed::start(MANIFEST).await;
    let answer = bed.post(image(&[true, false, true])).await.unwrap();
    assert_eq!(sides(&answer), ["left", "right", "left"]);
    let answer: Value = serde_json::from_str(&answer.1).unwrap();
    assert_eq!(answer[1], json!({"side": "right", "box": [[4.0, 24.0], [35.0, 24.0], [35.0, 35.0], [4.0, 35.0]]}));
    assert_eq!(bed.post(encoded(GrayImage::new(40, 40))).await.unwrap(), (200, "[]".to_owned()), "nothing to see");
}

#[tokio::test(flavor = "multi_thread")]
async fn regions_of_two_requests_share_a_batch() {
    let bed = Bed::start(MANIFEST).await;
    let first = bed.busy().await;
    let (a, b) = (bed.post(image(&[true, false])), bed.post(image(&[false, false])));
    bed.serving.until(|| bed.serving.replica.depth() == 4).await;
    bed.classify.open();
    assert_eq!(sides(&first.await.unwrap()), ["left"]);
    assert_eq!(sides(&a.await.unwrap()), ["left", "right"]);
    assert_eq!(sides(&b.await.unwrap()), ["right", "right"]);
    assert_eq!(bed.batches(), [1, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_in_one_request_is_no_concern_of_another() {
    let bed = Bed::start(MANIFEST).await;
    let first = bed.busy().await;
    let good = bed.post(image(&[true, false]));
    bed.serving.until(|| bed.serving.replica.depth() == 2).await;
    for (body, status, says) in [
        (b"no image".to_vec(), 400, "step image: the body is no JPEG"),
        (
            encoded(GrayImage::new(200, 200)),
            422,
            "step image: the image has 200 × 200 pixels; decodeImage.maxPixels of this service takes 10000",
        ),
        (image(&[true; 5]), 422, "step cut: the image has 5 regions; crop.maxItems of this service is 4"),
        (
            encoded(GrayImage::from_pixel(60, 60, Luma([255]))),
            422,
            "step cut: the image's regions have 3481 pixels; crop.maxPixels of this service is 2000",
        ),
    ] {
        let (got, text) = bed.post(body).await.unwrap();
        assert!(got == status && text.contains(says), "{got} {text}");
    }
    bed.classify.open();
    assert_eq!(sides(&first.await.unwrap()), ["left"]);
    assert_eq!(sides(&good.await.unwrap()), ["left", "right"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_fails_a_batch_fails_its_requests_alone() {
    // A region that begins black tells the fake to fail.
    let manifest = MANIFEST.replace("{expand: 0}", "{expand: 0, threshold: 0.5, score: 0.3}");
    let bed = Bed::start(&manifest).await;
    let mut ring = GrayImage::from_pixel(40, 24, Luma([0]));
    for (x, y) in (4..36).flat_map(|x| (4..16).map(move |y| (x, y))) {
        // Bright enough around, and dark where the classifier looks.
        ring.put_pixel(x, y, Luma([if (6..34).contains(&x) && (6..14).contains(&y) { 0 } else { 255 }]));
    }
    let (status, text) = bed.post(encoded(ring)).await.unwrap();
    assert!(status == 500 && text.contains("step side: the engine failed on this request"), "{status} {text}");
    assert_eq!(sides(&bed.post(image(&[false])).await.unwrap()), ["right"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_away_frees_the_queue_and_the_memory() {
    let bed = Bed::start(MANIFEST).await;
    let first = bed.busy().await;
    let gone = bed.post(image(&[true, true, true]));
    bed.serving.until(|| bed.serving.replica.depth() == 3).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    bed.serving.until(|| bed.serving.replica.door.in_flight() == 1).await;
    bed.classify.open();
    assert_eq!(sides(&first.await.unwrap()), ["left"]);
    assert_eq!(sides(&bed.post(image(&[false, false])).await.unwrap()), ["right", "right"]);
    assert_eq!(bed.batches().iter().sum::<usize>(), 3, "what nobody waits for isn't run");
    // All of it is given back: the body's bytes, the image's, and those of its regions.
    let door = &bed.serving.replica.door;
    let whole = (128 << 20) + 3 * (10_000 + 2_000);
    bed.serving.until(|| door.hold(whole).is_ok()).await;
    assert!(door.hold(whole + 1).is_err(), "the bound is what was thought");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_once_and_bounded() {
    let manifest = MANIFEST.replace("maxSize: 8, maxQueue: 16", "maxSize: 1, maxQueue: 1");
    let bed = Bed::start(&manifest).await;
    let first = bed.busy().await;
    // Two engines that take a row each, and one that waits: three are let in, whatever they fan out to.
    let more: Vec<_> = (0..2).map(|_| bed.post(image(&[true; 4]))).collect();
    bed.serving.until(|| bed.serving.replica.door.in_flight() == 3 && bed.serving.replica.depth() == 8).await;
    let (status, text) = bed.post(image(&[true])).await.unwrap();
    assert!(status == 429 && text.contains("the queue is full"), "{status} {text}");
    bed.classify.open();
    assert_eq!(sides(&first.await.unwrap()).len(), 1);
    for one in more {
        assert_eq!(sides(&one.await.unwrap()).len(), 4, "whoever was let in is answered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_over_all_requests() {
    let bed = Bed::start(MANIFEST).await;
    let door = &bed.serving.replica.door;
    // Others hold so much that an image has no room.
    let _others = door.hold((128 << 20) + 3 * (10_000 + 2_000) - 1_000).unwrap();
    let (status, text) = bed.post(image(&[true])).await.unwrap();
    assert!(status == 429 && text.contains("too large together"), "{status} {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_holds_for_the_whole() {
    let bed = Bed::start(&MANIFEST.replace("  batching:", "  access: {timeout: 300ms}\n  batching:")).await;
    let first = bed.busy().await;
    let (status, text) = first.await.unwrap();
    assert!(status == 504 && text.contains("the deadline passed"), "{status} {text}");
    bed.classify.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_the_protocol_see_one_model() {
    let bed = Bed::start(MANIFEST).await;
    let (_, text) = bed.serving.get("/v2/models/fake").await;
    let metadata: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(metadata["platform"], "ensemble");
    assert_eq!(metadata["inputs"], json!([{"name": "request", "datatype": "BYTES", "shape": [1]}]));
    assert_eq!(metadata["outputs"], json!([{"name": "answer", "datatype": "BYTES", "shape": [1]}]));
    assert_eq!(bed.serving.get("/v2/models/detect").await.0, 404, "models inside aren't addressable");
    let mut client = bed.serving.grpc().await;
    let mut message = bed.serving.message("fake", &[]);
    message.inputs[0].name = "request".to_owned();
    message.inputs[0].datatype = "BYTES".to_owned();
    message.inputs[0].shape = vec![1];
    let file = image(&[false]);
    let length = u32::try_from(file.len()).unwrap().to_le_bytes();
    message.raw_input_contents = vec![[&length[..], &file].concat().into()];
    let answer = client.model_infer(message.clone()).await.unwrap().into_inner();
    let raw = &answer.raw_output_contents[0];
    let answer: Value = serde_json::from_slice(&raw[4..]).unwrap();
    assert_eq!(answer[0]["side"], "right");
    message.raw_input_contents = vec![b"\x02\0\0\0no".to_vec().into()];
    let status = client.model_infer(message).await.unwrap_err();
    assert!(status.code() == tonic::Code::InvalidArgument && status.message().contains("step image"), "{status}");
    let (_, metrics) = bed.serving.get("/metrics").await;
    for model in ["detect", "classify"] {
        let line = format!("inference_model_batch_size_count{{model=\"{model}\"}} 1");
        assert!(metrics.contains(&line), "no {line} in\n{metrics}");
    }
    let (_, report) = bed.serving.get("/report").await;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["batches"][0]["size"], &report["batches"][0]["count"]), (&json!(1), &json!(1)), "{report}");
}

const TABLE: &str = r#"
apiVersion: millrace.dev/v1alpha1
kind: InferenceService
metadata: {name: fake, namespace: team}
spec:
  models: [{name: detect, uri: 's3://models/detect.onnx'}]
  pipeline:
    steps: [{name: answer, infer: {model: detect, preprocess: [{records: {columns: [{name: a}, {name: b}]}}]}}]
  access: {maxJsonDepth: 4}
  runtime: {executionProviders: [CPU]}
"#;

/// JSON that a graph reads is held to the gateway's limit on each way in, for that is the service's own as it is now.
#[tokio::test(flavor = "multi_thread")]
async fn json_of_a_graph_is_as_deep_as_the_gateway_says_on_every_wire() {
    let engine = Box::new(FakeEngine::new(1, Gate::default())) as Box<dyn Engine>;
    let fetched = Arc::new(Fetched::nowhere());
    let models = vec![Loaded { name: "detect".to_owned(), provided: vec![engine].into(), fetched }];
    let (replica, _threads) = build(&Manifest::from_yaml(TABLE).unwrap(), models, [Duration::ZERO; 2]).unwrap();
    let serving = Serving::with(replica).await;
    let rows = r#"[{"a": 1, "b": 2}]"#;
    let mut message = serving.message("fake", &[]);
    message.inputs[0].name = "request".to_owned();
    message.inputs[0].datatype = "BYTES".to_owned();
    message.inputs[0].shape = vec![1];
    let length = u32::try_from(rows.len()).unwrap().to_le_bytes();
    message.raw_input_contents = vec![[&length[..], rows.as_bytes()].concat().into()];
    let tensor =
        json!({"inputs": [{"name": "request", "datatype": "BYTES", "shape": [1], "data": [rows]}]}).to_string();
    let name = millrace_hop::limits::JSON_DEPTH;
    for (said, status, code) in [("1", 400, "3"), ("2", 200, "0"), ("100", 200, "0")] {
        let (got, _, text) = serving.post_with(name.as_str(), said, &tensor).await;
        assert_eq!(got, status, "{said}: {text}");
        assert!(got == 200 || text.contains("access.maxJsonDepth"), "{text}");
        assert_eq!(serving.grpc_by_hand(&message, name.as_str(), said).await, code, "{said}");
        let mut call = tonic::Request::new(futures::stream::iter([message.clone()]));
        call.metadata_mut().insert("x-request-max-json-depth", said.parse().unwrap());
        let mut answers = serving.grpc().await.model_stream_infer(call).await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.error_message.is_empty(), code == "0", "{said}: {answer:?}");
    }
}
