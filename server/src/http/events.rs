//! Server-sent events: the answers to one request as they come, for callers that accept `text/event-stream`.
//!
//! Each answer is an event whose data is the JSON that a single answer has. What goes wrong before the first one is an
//! ordinary error response; after it, an event named `error` with `{"error"}`. The end of the answers is the end of the
//! response.

use crate::{
    admit::Permit,
    answers::{Answer, Answers},
    error::Error,
    metrics::Times,
    protocol::{
        request::Wanted,
        response::{self, Head},
    },
    replica::{Replica, next_answer},
};
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::Frame;
use http_body_util::StreamBody;
use std::{convert::Infallible, sync::Arc, time::Instant};
use tonic::body::Body;

const EVENTS: &str = "text/event-stream";

/// Whether the caller wants answers as they come.
#[must_use]
pub fn asked(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|part| part.split(';').next().is_some_and(|kind| kind.trim() == EVENTS)))
}

/// A request that was sent to the engine, and what its answers need to be written.
pub struct Asked {
    /// The model, as the caller named it.
    pub name: String,
    /// The request's id.
    pub id: Option<String>,
    /// The outputs that it wants.
    pub wanted: Vec<Wanted>,
    /// Its answers.
    pub answers: Answers,
    /// When the last of them must be there.
    pub deadline: Instant,
    /// When it came.
    pub arrival: Instant,
    /// Its times so far.
    pub times: Times,
    /// Held until the last answer is written.
    pub permit: Permit,
}

/// Waits for the first answer and begins the response with it.
///
/// # Errors
/// The first answer is none.
pub async fn respond(replica: Arc<Replica>, mut asked: Asked) -> Result<Response<Body>, Error> {
    let first = next_answer(&mut asked.answers, asked.deadline).await?;
    let writer = Writer { replica, asked, first: Some(first), ended: false };
    let events = stream::unfold(writer, |mut writer| async move {
        let event = writer.event().await?;
        Some((Ok::<_, Infallible>(Frame::data(event)), writer))
    });
    let mut response = Response::new(Body::new(StreamBody::new(events)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENTS));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

struct Writer {
    replica: Arc<Replica>,
    asked: Asked,
    /// The first answer, until it is written.
    first: Option<Option<Answer>>,
    /// Everything is written, and counted.
    ended: bool,
}

impl Writer {
    /// The next event; `None`: that was all, and it is counted.
    async fn event(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let next = match self.first.take() {
            Some(first) => Ok(first),
            None => next_answer(&mut self.asked.answers, self.asked.deadline).await,
        };
        match next.and_then(|answer| answer.map(|answer| self.write(answer)).transpose()) {
            Ok(Some(event)) => Some(event),
            Ok(None) => {
                self.ended = true;
                let total = self.asked.arrival.elapsed();
                self.replica.metrics.succeeded(&Times { total, ..self.asked.times });
                None
            }
            Err(error) => {
                self.ended = true;
                self.replica.metrics.failed(self.asked.arrival.elapsed(), &error);
                let text = serde_json::json!({"error": error.message}).to_string();
                Some(format!("event: error\ndata: {text}\n\n").into())
            }
        }
    }

    fn write(&mut self, answer: Answer) -> Result<Bytes, Error> {
        let asked = &mut self.asked;
        asked.times = Times { queue: answer.queued, infer: answer.computed, ..asked.times };
        let outputs = response::select(answer.outputs, &asked.wanted);
        let head = Head { model: &asked.name, version: &self.replica.facts.version, id: asked.id.as_deref() };
        // Events are text: raw tensors have no place in them.
        let body = response::encode(head, &outputs, &[], false)?.body;
        Ok([b"data: ", &body[..], b"\n\n"].concat().into())
    }
}
