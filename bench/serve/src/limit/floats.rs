//! `json_floats`: numbers of a JSON text parsed one after the other, and nothing else done with the text. The standard
//! library's parser is the limit: its algorithm is fast_float's.

use crate::{case::Body, wire::Wire};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde::Serialize;
use std::time::{Duration, Instant};

/// What was parsed, and how fast.
#[derive(Clone, Debug, Serialize)]
pub struct Floats {
    /// Numbers in the text.
    pub numbers: usize,
    /// Bytes of the text.
    pub bytes: usize,
    /// The bare loop: milliseconds for the whole text, the least of all tries.
    pub bare_ms: f64,
    /// The server's own reader of requests, from the body to a tensor: likewise.
    pub server_ms: f64,
    /// How fast the server is, the bare loop being 1.
    pub ratio: f64,
}

/// Parses the JSON request of one input for so long, both ways in turn.
pub fn run(body: &Body, time: Duration) -> Result<Floats> {
    let request = Wire::Json.request("m", body);
    let head = request.windows(4).position(|part| part == b"\r\n\r\n").context("a head")? + 4;
    let json = request.slice(head..);
    let numbers = std::str::from_utf8(&json)?.split_once("\"data\":[").context("data")?.1;
    let numbers = numbers.split_once(']').context("the end of data")?.0;
    let begun = Instant::now();
    let (mut bare_ms, mut server_ms) = (f64::MAX, f64::MAX);
    let mut count = 0;
    while begun.elapsed() < time {
        let start = Instant::now();
        count = bare(numbers)?.len();
        bare_ms = bare_ms.min(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        let parsed = millrace_server::protocol::request::parse(&json, Bytes::new())?;
        server_ms = server_ms.min(start.elapsed().as_secs_f64() * 1e3);
        ensure!(parsed.inputs[0].data.len() == count, "the server reads another number of numbers");
    }
    Ok(Floats { numbers: count, bytes: json.len(), bare_ms, server_ms, ratio: bare_ms / server_ms })
}

fn bare(numbers: &str) -> Result<Vec<f32>> {
    let mut parsed = Vec::with_capacity(numbers.len() / 8);
    for number in numbers.split(',') {
        parsed.push(number.parse()?);
    }
    Ok(parsed)
}
