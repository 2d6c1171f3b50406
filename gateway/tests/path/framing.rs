//! HTTP/1 that two readers may read differently, by hand and over TLS.

use crate::bed::*;
use crate::message::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Sends bytes and reads until the gateway closes.
async fn raw(bed: &Bed, bytes: &str) -> String {
    let mut stream = bed.connect("http/1.1").await;
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    // A close without notice is an end as well.
    while let Ok(Ok(count @ 1..)) = tokio::time::timeout(SOON, stream.read(&mut buffer)).await {
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(headers: &str, payload: &str) -> String {
    format!(
        "POST /team-a/magika/process HTTP/1.1\r\nhost: gateway.example\r\nx-api-key: {KEY_A}\r\n{headers}\r\n{payload}"
    )
}

#[tokio::test]
async fn ambiguous_heads_are_refused_and_the_connection_is_closed() {
    let bed = Bed::new().await;
    bed.magika(|_| async { answer(200, "must not be reached") }).await;
    let smuggled = "GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n";
    for headers in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
        "content-length: 4\r\ncontent-length: 4\r\n",
        "content-length: 4\r\ncontent-length: 5\r\n",
        "content-length: +4\r\n",
        "content-length: 4, 4\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding:\x0bchunked\r\n",
        "x-a: b\r\n folded\r\n",
        "content-length : 4\r\n",
        "host: other\r\n",
    ] {
        let answer = raw(&bed, &post(headers, &format!("0\r\n\r\n{smuggled}"))).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{headers:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{headers:?} let a second request in: {answer}");
    }
}

#[tokio::test]
async fn no_tunnels() {
    let bed = Bed::new().await;
    bed.magika(|_| async { answer(200, "must not be reached") }).await;
    let connect = format!(
        "CONNECT magika.team-a:443 HTTP/1.1\r\nhost: magika.team-a:443\r\nx-api-key: {KEY_A}\r\nconnection: close\r\n\r\n"
    );
    let upgrade = post("connection: upgrade, close\r\nupgrade: h2c\r\n", "");
    let trace = post("connection: close\r\n", "").replacen("POST", "TRACE", 1);
    for request in [connect, upgrade, trace] {
        let answer = raw(&bed, &request).await;
        assert!(answer.starts_with("HTTP/1.1 501 "), "{request}: {answer}");
    }
}

#[tokio::test]
async fn heads_are_bounded() {
    let bed = Bed::new().await;
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x-long: {}\r\n", "y".repeat(200 << 10));
    for headers in [many, long] {
        let answer = raw(&bed, &post(&headers, "")).await;
        assert!(answer.starts_with("HTTP/1.1 431 ") || answer.is_empty(), "{answer}");
    }
}

#[tokio::test]
async fn chunks_of_one_byte_are_read_and_what_follows_is_the_next_request() {
    let bed = Bed::new().await;
    bed.magika(|request| async {
        answer(200, http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes())
    })
    .await;
    let chunks: String = "abcdefgh".repeat(1000).chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    let first = post("transfer-encoding: chunked\r\n", &format!("{chunks}0\r\n\r\n"));
    let second = post("content-length: 6\r\nconnection: close\r\n", "second");
    let answer = raw(&bed, &format!("{first}{second}")).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    assert!(answer.contains("abcdefgh") && answer.ends_with("second"), "{answer}");
}
