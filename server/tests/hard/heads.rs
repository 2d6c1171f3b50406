//! Heads that are too large, too many, too slow, or that two readers would read differently.

use crate::{
    memory,
    raw::{self, Wire, answer, begin, status},
    support::Serving,
};
use millrace_server::engine::fake::Gate;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

async fn get(serving: &Serving, headers: &str) -> u16 {
    let head = format!("GET /v2/health/ready HTTP/1.1\r\nhost: s\r\n{headers}\r\n");
    let (mut read, _write) = begin(serving.address, &head).await;
    status(&answer(&mut read).await)
}

#[tokio::test]
async fn heads_over_http1_are_bounded() {
    let serving = Serving::start("", 1, Gate::default()).await;
    assert_eq!(get(&serving, &format!("x-large: {}\r\n", "x".repeat(16 << 10))).await, 200);
    assert_eq!(get(&serving, &format!("x-large: {}\r\n", "x".repeat(64 << 10))).await, 431);
    let many = |count: usize| (0..count).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    assert_eq!(get(&serving, &many(60)).await, 200);
    assert_eq!(get(&serving, &many(100)).await, 431);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_hung_up_on() {
    let serving = Serving::start("", 1, Gate::default()).await;
    let begun = tokio::time::Instant::now();
    let (mut read, _write) = begin(serving.address, "GET /v2/health/ready HTTP/1.1\r\nhost: s\r\nx-").await;
    assert_eq!(answer(&mut read).await, "");
    let took = begun.elapsed();
    assert!((Duration::from_secs(29)..Duration::from_secs(32)).contains(&took), "{took:?}");
    // Nor may one be kept open that has said nothing, or not enough to tell its protocol.
    for start in ["", "P", "PRI * HTTP/2.0\r\n"] {
        let (mut read, _write) = begin(serving.address, start).await;
        let hung_up = tokio::time::timeout(Duration::from_secs(60), answer(&mut read)).await;
        assert!(hung_up.is_ok(), "{start:?} keeps a connection for ever");
    }
}

/// A body that one reader ends by its length and another by its chunks is the seed of request smuggling.
#[tokio::test]
async fn framing_that_can_be_read_in_two_ways_is_refused() {
    let serving = Serving::start("", 1, Gate::default()).await;
    for headers in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: +5\r\n",
        "content-length: 5, 6\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: gzip\r\n",
        "content-length: 5\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "x-folded: a\r\n b\r\ncontent-length: 5\r\n",
    ] {
        // By its length the body is five bytes, by its chunks it is none, and what follows is another request.
        let head =
            format!("POST /process HTTP/1.1\r\nhost: s\r\n{headers}\r\n0\r\n\r\nGET /v2 HTTP/1.1\r\nhost: s\r\n\r\n");
        let (mut read, _write) = begin(serving.address, &head).await;
        let text = answer(&mut read).await;
        assert_eq!(status(&text), 400, "{headers:?}: {text}");
        let mut more = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), read.read_to_end(&mut more)).await;
        assert!(ended.is_ok() && more.is_empty(), "{headers:?}: the connection outlives the refusal");
    }
}

#[tokio::test]
async fn heads_over_http2_are_bounded() {
    let serving = Serving::start("", 1, Gate::default()).await;
    let before = memory::resident();
    // One entry of 3,000 bytes, put into the table and named ten thousand times: 30 MB from 13 KB.
    let value = [&[0x7f, 0xb9, 0x16][..], &[b'x'; 3_000]].concat();
    let bomb = [raw::block(2, "/v2/health/ready"), vec![0x40, 1, b'x'], value, vec![0xbe; 10_000]].concat();
    let frames = std::iter::once(raw::frame(raw::HEADERS, raw::END_HEADERS | raw::END_STREAM, 1, &bomb));
    let taken = Wire::open(serving.address).await.send(frames, |taken| taken.headers + taken.resets > 0).await;
    assert!(taken.headers + taken.resets > 0 || taken.goaway.is_some(), "{taken:?}");
    // A head that goes on and on in frames of its own.
    let more = raw::frame(raw::CONTINUATION, 0, 1, &[0x00, 1, b'y', 1, b'z'].repeat(200));
    let open = raw::frame(raw::HEADERS, 0, 1, &raw::block(2, "/v2/health/ready"));
    let endless = std::iter::once(open).chain(std::iter::repeat_n(more, 20_000));
    let taken = Wire::open(serving.address).await.send(endless, |taken| taken.goaway.is_some()).await;
    assert!(taken.goaway.is_some() || taken.closed, "20 MB of headers were read: {taken:?}");
    let grown = memory::resident().saturating_sub(before);
    assert!(grown < 48, "heads took {grown} MiB");
    assert_eq!(serving.infer(1.0).await.0, 200);
}

/// Another protocol on this connection would be out of sight of all that is checked here.
#[tokio::test]
async fn nobody_gets_another_protocol_or_a_tunnel() {
    let serving = Serving::start("", 1, Gate::default()).await;
    for offered in ["websocket", "h2c", "TLS/1.0"] {
        let headers =
            format!("connection: upgrade, http2-settings\r\nupgrade: {offered}\r\nhttp2-settings: AAMAAABk\r\n");
        assert_eq!(get(&serving, &headers).await, 200, "{offered}: it is answered as if nothing was offered");
    }
    for target in ["server:443", "127.0.0.1:1", "/v2"] {
        let (mut read, _write) = begin(serving.address, &format!("CONNECT {target} HTTP/1.1\r\nhost: s\r\n\r\n")).await;
        let text = answer(&mut read).await;
        assert!((400..500).contains(&status(&text)), "{target}: {text}");
    }
    // Over HTTP/2: a method and an authority, and no path.
    let connect = [&[0x02, 7][..], b"CONNECT", &[0x01, 6], b"server"].concat();
    let frames = std::iter::once(raw::frame(raw::HEADERS, raw::END_HEADERS | raw::END_STREAM, 1, &connect));
    let taken = Wire::open(serving.address).await.send(frames, |taken| taken.headers + taken.resets > 0).await;
    assert!(taken.headers + taken.resets > 0 || taken.goaway.is_some(), "{taken:?}");
    assert_eq!(serving.infer(1.0).await.0, 200);
}
