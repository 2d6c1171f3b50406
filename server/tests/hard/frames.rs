//! HTTP/2 streams that are opened and thrown away, by the caller or by making the server do it.

use crate::{
    memory,
    raw::{self, Taken, Wire},
    support::Serving,
};
use millrace_server::engine::fake::Gate;

const STREAMS: u32 = 20_000;
const ENHANCE_YOUR_CALM: u32 = 0xb;

fn gone(taken: &Taken) -> bool {
    taken.goaway.is_some()
}

/// Whether the server ended the connection. Its last word may be lost: what it left unread makes the system reset it.
fn calmed(taken: &Taken) -> bool {
    taken.goaway == Some(ENHANCE_YOUR_CALM) || taken.goaway.is_none() && taken.closed
}

/// For each stream a head, and what makes an end of it.
fn floods(
    head: Vec<u8>,
    flags: u8,
    end: impl Fn(u32) -> Vec<u8> + Send + 'static,
) -> impl Iterator<Item = Vec<u8>> + Send + 'static {
    (0..STREAMS).map(move |n| {
        let stream = 2 * n + 1;
        [raw::frame(raw::HEADERS, raw::END_HEADERS | flags, stream, &head), end(stream)].concat()
    })
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let gate = Gate::default();
    let serving = Serving::start("", 1, gate.clone()).await;
    let (before, runs) = (memory::resident(), gate.batches().len());
    let cancel = |stream| raw::frame(raw::RST_STREAM, 0, stream, &8u32.to_be_bytes());
    let taken = Wire::open(serving.address)
        .await
        .send(floods(raw::block(2, "/v2/health/ready"), raw::END_STREAM, cancel), gone)
        .await;
    assert!(calmed(&taken), "{STREAMS} streams were opened and reset: {taken:?}");
    let grown = memory::resident().saturating_sub(before);
    assert!(grown < 48, "resets took {grown} MiB");
    serving.until(|| serving.replica.door.in_flight() == 0).await;
    assert_eq!(gate.batches().len(), runs, "nothing of it reached the engine");
    assert_eq!(serving.infer(1.0).await.0, 200, "others are served");
}

/// The caller breaks its word on each stream, so that it is the server that resets.
#[tokio::test]
async fn resets_that_the_server_is_made_to_send_end_the_connection() {
    let serving = Serving::start("", 1, Gate::default()).await;
    // `content-length: 1`, and then five bytes.
    let head = [raw::block(3, "/v2/models/fake/infer"), vec![0x0f, 0x0d, 1, b'1']].concat();
    let taken = Wire::open(serving.address)
        .await
        .send(floods(head, 0, |stream| raw::frame(raw::DATA, 0, stream, b"xxxxx")), gone)
        .await;
    assert!(calmed(&taken), "{taken:?}");
    assert!(taken.resets < 1_000, "{taken:?}");
    serving.until(|| serving.replica.door.in_flight() == 0).await;
    assert_eq!(serving.infer(1.0).await.0, 200, "others are served");
}

/// No more streams at a time than are announced: the rest is refused, and what is refused was never begun.
#[tokio::test]
async fn streams_at_a_time_are_bounded() {
    let gate = Gate::default();
    let serving = Serving::start("  batching: {maxQueue: 100000}\n", 1, gate.clone()).await;
    gate.close();
    let taken = Wire::open(serving.address)
        .await
        .send(floods(raw::block(3, "/v2/models/fake/infer"), 0, |_| Vec::new()), |_| true)
        .await;
    assert!(taken.resets > 0 || taken.goaway.is_some(), "{STREAMS} streams are open at once: {taken:?}");
    assert!(serving.replica.door.in_flight() <= 256, "{} are inside", serving.replica.door.in_flight());
    gate.open();
    serving.until(|| serving.replica.door.in_flight() == 0).await;
    assert_eq!(serving.infer(1.0).await.0, 200, "others are served");
}
