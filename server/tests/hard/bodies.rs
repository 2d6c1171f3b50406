//! Bodies that are slow, in crumbs, too large, or not what they seem.

use crate::{
    memory,
    raw::{self, answer, begin, status},
    support::{Serving, infer_body},
};
use millrace_server::engine::fake::Gate;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;

const INFER: &str = "POST /v2/models/fake/infer HTTP/1.1\r\nhost: s\r\n";

async fn small() -> Serving {
    Serving::start("  access: {maxRequestBytes: 1000}\n", 1, Gate::default()).await
}

/// Time stands still but for what is waited for: ten seconds are over at once.
async fn slow(crumbs: bool) {
    let serving = Serving::start("", 1, Gate::default()).await;
    let (mut read, mut write) = begin(serving.address, &format!("{INFER}content-length: 100000\r\n\r\n")).await;
    let begun = tokio::time::Instant::now();
    let sender = tokio::spawn(async move {
        while crumbs && write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        // Silent, and still there.
        std::future::pending::<()>().await;
    });
    let text = answer(&mut read).await;
    assert_eq!(status(&text), 408, "{text}");
    assert!(text.contains("slowly") && text.to_lowercase().contains("connection: close"), "{text}");
    let took = begun.elapsed();
    assert!((9..20).contains(&took.as_secs()), "{took:?}");
    sender.abort();
    assert_eq!(serving.replica.door.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_doesnt_come_is_408() {
    slow(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_in_crumbs_is_408() {
    slow(true).await;
}

/// Many chunks cost what they hold, and nothing for each. Time stands still, so that no slow machine makes it a slow body.
#[tokio::test(start_paused = true)]
async fn a_flood_of_chunks_of_one_byte_is_as_small_as_its_bytes() {
    const CHUNKS: usize = 300_000;
    let serving = Serving::start("  access: {maxRequestBytes: 1048576}\n", 1, Gate::default()).await;
    let (mut read, mut write) = begin(serving.address, &format!("{INFER}transfer-encoding: chunked\r\n\r\n")).await;
    let (before, begun) = (memory::resident(), Instant::now());
    let part = b"1\r\nx\r\n".repeat(1_000);
    let mut most = before;
    for _ in 0..CHUNKS / 1_000 {
        write.write_all(&part).await.unwrap();
        most = most.max(memory::resident());
    }
    write.write_all(b"0\r\n\r\n").await.unwrap();
    let text = answer(&mut read).await;
    assert_eq!(status(&text), 400, "so many x are no JSON: {text}");
    // The body itself is small, buffers that grow by doubling twice that; tests beside this one have their own.
    assert!(most - before < 48, "{CHUNKS} chunks took {} MiB", most - before);
    println!("{CHUNKS} chunks in {:?}, {} MiB", begun.elapsed(), most - before);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    // Time that stands still jumps to the next deadline as soon as all wait, and here all wait for an engine's thread.
    tokio::time::resume();
    assert_eq!(serving.infer(1.0).await.0, 200);
}

/// The same over HTTP/2: frames of one byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_frames_of_one_byte_is_as_small_as_its_bytes() {
    const FRAMES: usize = 300_000;
    let serving = Serving::start("", 1, Gate::default()).await;
    let before = memory::resident();
    let head = raw::frame(raw::HEADERS, raw::END_HEADERS, 1, &raw::block(3, "/v2/models/fake/infer"));
    let crumb = raw::frame(raw::DATA, 0, 1, b"x");
    let end = raw::frame(raw::DATA, raw::END_STREAM, 1, b"x");
    let frames = std::iter::once(head).chain(std::iter::repeat_n(crumb, FRAMES)).chain(std::iter::once(end));
    let taken = raw::Wire::open(serving.address).await.send(frames, |taken| taken.headers > 0).await;
    assert!(taken.headers == 1 || taken.goaway.is_some(), "it is answered, or the connection is ended: {taken:?}");
    let grown = memory::resident().saturating_sub(before);
    assert!(grown < 48, "{FRAMES} frames took {grown} MiB");
    assert_eq!(serving.infer(1.0).await.0, 200);
}

#[tokio::test]
async fn a_body_above_the_limit_is_413_however_it_comes() {
    let serving = small().await;
    // Announced: refused before a byte of it came.
    let (mut read, _write) = begin(serving.address, &format!("{INFER}content-length: 99999999999\r\n\r\n")).await;
    let text = answer(&mut read).await;
    assert_eq!(status(&text), 413, "{text}");
    assert!(
        text.to_lowercase().contains("connection: close") && text.contains("1000 bytes of access.maxRequestBytes"),
        "{text}"
    );
    // Not announced: refused when it is too much.
    let (mut read, mut write) = begin(serving.address, &format!("{INFER}transfer-encoding: chunked\r\n\r\n")).await;
    write.write_all(format!("3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001)).as_bytes()).await.unwrap();
    assert_eq!(status(&answer(&mut read).await), 413);
    // Small on the wire, large when decoded.
    let bomb = gzip(&vec![b' '; 500_000]).await;
    assert!(bomb.len() < 1000, "the bomb itself is too large: {} bytes", bomb.len());
    let (status, text) = serving.post_encoded("/v2/models/fake/infer", "gzip", bomb).await;
    assert!(
        status == 413 && text.contains("decodes to more than the 1000 bytes of access.maxRequestBytes"),
        "{status} {text}"
    );
    assert_eq!(serving.infer(1.0).await.0, 200);
    assert_eq!(serving.replica.door.in_flight(), 0);
}

async fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = async_compression::tokio::write::GzipEncoder::new(Vec::new());
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

#[tokio::test]
async fn a_client_that_sends_on_hears_the_refusal_all_the_same() {
    let serving = small().await;
    let (mut read, mut write) = begin(serving.address, &format!("{INFER}content-length: 4000000\r\n\r\n")).await;
    let sender = tokio::spawn(async move { write.write_all(&[b'x'; 4_000_000]).await });
    assert_eq!(status(&answer(&mut read).await), 413);
    sender.await.unwrap().unwrap();
}

#[tokio::test]
async fn shapes_that_overflow_and_nests_that_never_end_are_400() {
    let serving = Serving::start("", 1, Gate::default()).await;
    let input = |shape: &str, data: &str| {
        format!(r#"{{"inputs": [{{"name": "x", "datatype": "FP32", "shape": {shape}, "data": {data}}}]}}"#)
    };
    let mut bodies: Vec<String> = [
        "[0, 2]",
        "[-1, 2]",
        "[1, -2]",
        "[2147483648, 2147483648]",
        "[9223372036854775807, 2]",
        "[9223372036854775808, 2]",
        "[4611686018427387904, 4]",
        "[1e3, 2]",
        "[]",
        "[1, 2, 0]",
    ]
    .iter()
    .map(|shape| input(shape, "[1, 2]"))
    .collect();
    bodies.push("[".repeat(1_000_000));
    bodies.push(input("[1, 2]", &"[".repeat(100_000)));
    bodies.push(r#"{"a":"#.repeat(100_000));
    bodies.push(input("[1, 2]", "[1, NaN]"));
    let outputs = |names: &str| infer_body(&[1.0, 2.0]).replacen('{', &format!(r#"{{"outputs": [{names}], "#), 1);
    bodies.push(outputs(r#"{"name": "y"}, {"name": "y"}"#));
    bodies.push(outputs(r#"{"name": "z"}"#));
    bodies.push(outputs(&vec![r#"{"name": "y"}"#; 100_000].join(",")));
    for body in bodies {
        let (status, text) = serving.post("/v2/models/fake/infer", &body).await;
        assert_eq!(status, 400, "{body:.90}: {text:.200}");
        assert!(text.len() < 2_000, "an error that repeats the request: {} bytes", text.len());
    }
    for shape in [vec![0, 2], vec![-1, 2], vec![i64::MAX, i64::MAX], vec![1 << 62, 4], vec![i64::MIN, 2]] {
        let mut message = serving.message("fake", &[1.0, 2.0]);
        message.inputs[0].shape = shape.clone();
        let refused = serving.grpc().await.model_infer(message).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{shape:?}: {refused}");
    }
    assert_eq!(serving.infer(1.0).await.0, 200);
}
