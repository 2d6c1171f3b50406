//! HTTP and gRPC in process, over a real socket, with the fake engine.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

mod support;

use millrace_server::{
    engine::fake::{Gate, Told},
    grpc::proto,
};
use serde_json::json;
use support::{Serving, binary_infer, infer_body};
use tonic::codec::CompressionEncoding;

#[tokio::test]
async fn the_protocol_over_http() {
    let serving = Serving::start("", 1, Gate::default()).await;
    for (path, status, says) in [
        ("/v2", 200, "millrace"),
        ("/v2/health/live", 200, "true"),
        ("/v2/health/ready", 200, "true"),
        ("/v2/models/fake", 200, "FP32"),
        ("/v2/models/team.fake/versions/1", 200, "team.fake"),
        ("/v2/models/fake/versions/2", 404, "no version"),
        ("/v2/models/other", 404, "no model"),
        ("/v2/models/fake/config", 200, "max_batch_size"),
        ("/v2/models/fake/ready", 200, "true"),
        ("/v2/models/stats", 200, "model_stats"),
        ("/v1/models/fake", 200, "true"),
        ("/v2/models/fake/infer", 405, "POST"),
        ("/v2/systemsharedmemory/status", 501, "shared memory"),
        ("/nowhere", 404, "route"),
        ("/metrics", 200, "inference_queue_depth"),
        ("/report", 200, "startedAt"),
    ] {
        let (got, text) = serving.get(path).await;
        assert_eq!(got, status, "{path}: {text}");
        assert!(text.contains(says), "{path}: {text}");
    }
    let (status, text) = serving.post("/v2/models/fake/infer", &infer_body(&[1.0, 2.0])).await;
    assert_eq!(status, 200);
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["id"], "7");
    assert_eq!(answer["outputs"][0]["data"], json!([2.0, 3.0]));
    let (status, text) = serving.post("/v1/models/fake:predict", r#"{"instances": [[1, 2], [3, 4]]}"#).await;
    assert_eq!((status, &*text), (200, r#"{"predictions":[[2.0,3.0],[4.0,5.0]]}"#));
    let (_, report) = serving.get("/report").await;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["completed"], &report["inFlight"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn binary_tensors_both_ways() {
    let serving = Serving::start("", 1, Gate::default()).await;
    let (head, tail) = binary_infer(&serving, &[1.0, -1.0]).await;
    assert!(head.contains("binary_data_size"), "{head}");
    assert_eq!(tail, [2.0f32.to_le_bytes(), 0.0f32.to_le_bytes()].concat());
}

#[tokio::test]
async fn bad_input_is_answered_and_nothing_else_suffers() {
    let serving = Serving::start("  access: {maxRequestBytes: 1000}\n", 1, Gate::default()).await;
    for (path, body, status) in [
        ("/v2/models/fake/infer", "{".to_owned(), 400),
        ("/v2/models/fake/infer", "x".repeat(1001), 413),
        ("/v2/models/fake/infer", infer_body(&[1.0]), 400),
        ("/v2/models/nope/infer", infer_body(&[1.0, 2.0]), 404),
        ("/v2/models/fake/infer", infer_body(&[-1000.0, 0.0]), 500),
        ("/process", "x".to_owned(), 501),
        ("/v2/models/fake/infer", infer_body(&[1.0, 2.0]), 200),
    ] {
        let (got, text) = serving.post(path, &body).await;
        assert_eq!(got, status, "{path} {body:.80}: {text}");
        assert!(status == 200 || serde_json::from_str::<serde_json::Value>(&text).unwrap()["error"].is_string());
        assert!(!text.contains("secret"), "the engine's words stay inside: {text}");
    }
}

#[tokio::test]
async fn what_queues_while_the_engine_works_is_one_batch() {
    let gate = Gate::default();
    let serving = Serving::start("  batching: {maxSize: 4, maxQueue: 3}\n", 1, gate.clone()).await;
    gate.close();
    let begun = gate.batches().len();
    let first = serving.spawn_infer(1.0);
    serving.until(|| gate.batches().len() == begun + 1).await;
    let rest: Vec<_> = (2u8..5).map(|n| serving.spawn_infer(f32::from(n))).collect();
    serving.until(|| serving.replica.depth() == 3).await;
    let (status, headers, _) = serving.infer(9.0).await;
    assert_eq!(status, 429, "three may wait");
    assert_eq!(headers["x-not-admitted"], "1");
    assert_eq!(headers["retry-after"], "1");
    gate.open();
    for (task, value) in std::iter::once(first).chain(rest).zip([2.0, 3.0, 4.0, 5.0]) {
        let (status, _, text) = task.await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &answer["outputs"][0]["data"][0]), (200, &json!(value)), "each gets its own rows");
    }
    assert_eq!(gate.batches()[begun..], [1, 3]);
}

#[tokio::test]
async fn a_deadline_is_kept_and_a_client_that_left_never_runs() {
    let gate = Gate::default();
    let serving = Serving::start("  access: {timeout: 200ms}\n", 1, gate.clone()).await;
    gate.close();
    let begun = gate.batches().len();
    let stuck = serving.spawn_infer(1.0);
    serving.until(|| gate.batches().len() == begun + 1).await;
    let left = serving.spawn_infer(2.0);
    serving.until(|| serving.replica.depth() == 1).await;
    left.abort();
    assert_eq!(stuck.await.unwrap().0, 504);
    serving.until(|| serving.replica.door.in_flight() == 0).await;
    gate.open();
    assert_eq!(serving.infer(3.0).await.0, 200);
    assert_eq!(gate.batches()[begun..], [1, 1], "the one that left is not among them");
}

#[tokio::test]
async fn the_time_that_a_gateway_leaves_is_kept() {
    let gate = Gate::default();
    let serving = Serving::start("", 1, gate.clone()).await;
    gate.close();
    let (status, _, text) = serving.infer_with("x-request-timeout", "50ms").await;
    assert_eq!(status, 504, "{text}");
    // By hand: the library's client would keep the time itself, and hang up.
    let status = serving.grpc_by_hand(&serving.message("fake", &[1.0, 2.0]), "grpc-timeout", "50m").await;
    assert_eq!(status, "4", "DEADLINE_EXCEEDED");
    gate.open();
}

#[tokio::test]
async fn a_drain_refuses_what_is_new_and_finishes_what_it_has() {
    let gate = Gate::default();
    let serving = Serving::start("", 1, gate.clone()).await;
    gate.close();
    let begun = gate.batches().len();
    let inside = serving.spawn_infer(1.0);
    serving.until(|| gate.batches().len() == begun + 1).await;
    serving.replica.door.close();
    let (status, headers, _) = serving.infer(2.0).await;
    assert_eq!((status, &headers["x-not-admitted"]), (503, &"1".parse().unwrap()));
    gate.open();
    assert_eq!(inside.await.unwrap().0, 200);
}

#[tokio::test]
async fn the_protocol_over_grpc_on_the_same_port() {
    let serving = Serving::start("", 1, Gate::default()).await;
    let mut client = serving.grpc().await;
    assert!(client.server_ready(proto::ServerReadyRequest {}).await.unwrap().into_inner().ready);
    let answer = client.model_infer(serving.message("fake", &[1.0, 2.0])).await.unwrap().into_inner();
    assert_eq!(answer.raw_output_contents[0], [2.0f32.to_le_bytes(), 3.0f32.to_le_bytes()].concat());
    assert_eq!(answer.id, "7");
    let mut both = serving.message("fake", &[1.0, 2.0]);
    both.inputs[0].contents = Some(proto::InferTensorContents::default());
    for (message, code) in [
        (serving.message("nope", &[1.0, 2.0]), tonic::Code::NotFound),
        (serving.message("fake", &[1.0]), tonic::Code::InvalidArgument),
        (both, tonic::Code::InvalidArgument),
        (serving.message("fake", &[-1000.0, 0.0]), tonic::Code::Internal),
    ] {
        let status = client.model_infer(message).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
    }
    serving.replica.door.close();
    let status = client.model_infer(serving.message("fake", &[1.0, 2.0])).await.unwrap_err();
    assert_eq!((status.code(), status.metadata().get("x-not-admitted").is_some()), (tonic::Code::Unavailable, true));
}

/// Client libraries name with each call what they can read; an answer is compressed only if its request was, and as it was.
#[tokio::test]
async fn an_answer_over_grpc_is_compressed_as_its_request() {
    let serving = Serving::start("", 1, Gate::default()).await;
    for used in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Deflate)] {
        let mut client = serving.grpc().await;
        for readable in [CompressionEncoding::Gzip, CompressionEncoding::Deflate] {
            client = client.accept_compressed(readable);
        }
        if let Some(used) = used {
            client = client.send_compressed(used);
        }
        let answer = client.model_infer(serving.message("fake", &[1.0, 2.0])).await.unwrap();
        let named = answer.metadata().get("grpc-encoding").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(named, used.map(|used| used.to_string()));
        assert_eq!(answer.into_inner().raw_output_contents[0][..4], 2.0f32.to_le_bytes());
    }
}

#[tokio::test]
async fn several_answers_to_one_request_are_streamed() {
    let serving = Serving::start("", 3, Gate::default()).await;
    let mut client = serving.grpc().await;
    let messages = vec![serving.message("fake", &[1.0, 2.0]), serving.message("fake", &[1.0])];
    let mut stream = client.model_stream_infer(tokio_stream::iter(messages)).await.unwrap().into_inner();
    let mut firsts = Vec::new();
    let mut errors = Vec::new();
    while let Some(answer) = stream.message().await.unwrap() {
        match answer.infer_response {
            Some(response) => firsts.push(response.raw_output_contents[0][..4].to_vec()),
            None => errors.push(answer.error_message),
        }
    }
    assert_eq!(firsts, [2.0f32, 3.0, 4.0].map(|value| value.to_le_bytes().to_vec()));
    assert_eq!(errors.len(), 1, "a bad request of a stream gets its own error: {errors:?}");
}

#[tokio::test]
async fn several_answers_to_one_request_are_server_sent_events() {
    let serving = Serving::start("", 3, Gate::default()).await;
    let stream = "text/event-stream, application/json;q=0.5";
    let (status, headers, text) = serving.infer_with("accept", stream).await;
    assert_eq!((status, &headers["content-type"]), (200, &"text/event-stream".parse().unwrap()), "{text}");
    let events: Vec<serde_json::Value> = text
        .split_terminator("\n\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect();
    let firsts: Vec<_> = events.iter().map(|event| event["outputs"][0]["data"][0].clone()).collect();
    assert_eq!(firsts, [json!(2.0), json!(3.0), json!(4.0)]);
    assert!(events.iter().all(|event| event["id"] == "7"));
    serving.until(|| serving.replica.metrics.totals().success.count == 1).await;
    assert_eq!(serving.replica.door.in_flight(), 0);
    // What fails before the first answer is an error like any other.
    let (status, _, text) = serving.post_with("accept", stream, &infer_body(&[Told::Fail.value(), 0.0])).await;
    assert_eq!(status, 500, "{text}");
    let (status, _, text) = serving.post_with("accept", stream, "{").await;
    assert_eq!(status, 400, "{text}");
    // Without the header, the first answer is the answer.
    let (status, _, text) = serving.infer(1.0).await;
    assert_eq!((status, serde_json::from_str::<serde_json::Value>(&text).is_ok()), (200, true));
}

/// Answers are sent as they are made: the first one is there while the engine still works on the rest.
#[tokio::test]
async fn events_come_one_by_one() {
    let gate = Gate::default();
    let serving = Serving::start("", 2, gate.clone()).await;
    gate.close_between();
    let mut events = serving.open_events(&infer_body(&[1.0, 2.0])).await;
    let first = events.next().await;
    assert!(first.contains("[2.0,3.0]"), "{first}");
    assert_eq!(serving.replica.door.in_flight(), 1, "it is still at work");
    gate.open();
    assert!(events.next().await.contains("[3.0,4.0]"));
    assert_eq!(events.next().await, "");
}

#[tokio::test]
async fn a_message_over_the_limit_is_exhausted() {
    let serving = Serving::start("  access: {maxRequestBytes: 1000}\n", 1, Gate::default()).await;
    for packed in [false, true] {
        let mut client = serving.grpc().await;
        if packed {
            client = client.send_compressed(tonic::codec::CompressionEncoding::Gzip);
        }
        let status = client.model_infer(serving.message("fake", &[0.0; 50_000])).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
        assert_eq!(status.message(), "the message is larger than the 1000 bytes of access.maxRequestBytes", "{packed}");
    }
}

/// The gateway knows a service's limits as they are now, the server as they were when its revision was made.
#[tokio::test]
async fn limits_of_the_caller_lower_those_of_the_manifest() {
    let serving = Serving::start("  access: {maxRequestBytes: 1000}\n", 1, Gate::default()).await;
    let name = millrace_hop::limits::BYTES;
    for (said, status) in [("10", 413), ("999", 200), ("100000", 200)] {
        let (got, _, text) = serving.infer_with(name.as_str(), said).await;
        assert_eq!(got, status, "{said}: {text}");
        assert!(status == 200 || text.contains("10 bytes of access.maxRequestBytes"), "{text}");
    }
    let (got, _, text) = serving.post_with(name.as_str(), "100000", &" ".repeat(1001)).await;
    assert!(got == 413 && text.contains("1000 bytes of access.maxRequestBytes"), "{got} {text}");
    let message = serving.message("fake", &[0.0; 50_000]);
    assert_eq!(serving.grpc_by_hand(&message, name.as_str(), "100").await, "8");
}

#[tokio::test]
async fn a_call_over_grpc_is_one_whole_message() {
    let serving = Serving::start("", 1, Gate::default()).await;
    let message = prost::Message::encode_to_vec(&serving.message("fake", &[1.0, 2.0]));
    let framed = |flag: u8, length: usize, message: &[u8]| {
        [&[flag], &u32::try_from(length).unwrap().to_be_bytes()[..], message].concat()
    };
    let whole = framed(0, message.len(), &message);
    for (body, status) in [
        (whole.clone(), "0"),
        (Vec::new(), "3"),
        (vec![0, 0, 0], "3"),
        (framed(0, message.len() + 1, &message), "3"),
        (framed(0, message.len() - 1, &message), "3"),
        (whole.repeat(2), "3"),
        (framed(0, 3, b"\xff\xff\xff"), "3"),
        (framed(1, message.len(), &message), "12"),
        (framed(0, 0, b""), "5"),
    ] {
        assert_eq!(serving.grpc_of(body.clone(), "x-other", "1").await, status, "{body:?}");
    }
    // A caller that can read compressed answers, and sends none.
    assert_eq!(serving.grpc_of(whole, "grpc-encoding", "identity").await, "0");
    assert_eq!(serving.replica.door.in_flight(), 0);
}

/// No caller can make the server load a model, share memory or log elsewhere: over HTTP these are 501, and here.
#[tokio::test]
async fn calls_that_would_change_the_server_are_not_there() {
    let serving = Serving::start("", 1, Gate::default()).await;
    for call in [
        "RepositoryModelLoad",
        "RepositoryModelUnload",
        "SystemSharedMemoryStatus",
        "SystemSharedMemoryRegister",
        "CudaSharedMemoryRegister",
        "TraceSetting",
        "LogSettings",
    ] {
        assert_eq!(serving.grpc_call(call, vec![0; 5], "x-other", "1").await, "12", "{call}");
    }
    for path in
        ["/v2/repository/models/m/load", "/v2/repository/models/m/unload", "/v2/cudasharedmemory/region/r/register"]
    {
        assert_eq!(serving.post(path, "{}").await.0, 501, "{path}");
    }
}
