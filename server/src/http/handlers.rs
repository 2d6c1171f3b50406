//! From a request to its response.

use super::{
    answers::{Failure, IndexedModel, Live, ModelReady, Models, Ready},
    body, encoding, events, models, openai, route,
    route::Named,
    route::Route,
};
use crate::{
    admit::Permit,
    error::{Error, Kind},
    metrics::Times,
    openapi,
    pipeline::Raw,
    process,
    protocol::{
        json_depth,
        request::{self, InferRequest},
        response::{self, Head},
        v1,
    },
    replica::{Call, Replica},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use millrace_hop::{NOT_ADMITTED, YES, deadline, limits::Limits};
use serde::Serialize;
use std::{sync::Arc, time::Instant};
use tonic::body::Body;

/// Length of the JSON before raw tensors.
pub const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");
/// The content type of JSON.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers one request. Errors of every route become responses here.
pub async fn handle<B>(replica: &Arc<Replica>, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let arrival = Instant::now();
    let (parts, mut body) = request.into_parts();
    let mut accept = parts.headers.get(header::ACCEPT_ENCODING);
    // Inference is by far the most frequent: the states of the other ways are allocated when they are gone, so that it
    // doesn't carry the room for them from place to place.
    let answered = match route::find(&parts.method, parts.uri.path()) {
        Err(error) => Err(error),
        Ok(Route::Infer(named)) if events::asked(&parts.headers) => {
            match Box::pin(infer_each(replica, named, &parts.headers, &mut body, arrival)).await {
                Ok(response) => return response,
                Err(error) => count(replica, arrival, Err(error)),
            }
        }
        Ok(Route::Infer(named)) => {
            let result = infer(replica, named, &parts.headers, &mut body, arrival).await;
            count(replica, arrival, result)
        }
        Ok(Route::V1Predict(named)) => {
            let result = Box::pin(predict(replica, named, &parts.headers, &mut body, arrival)).await;
            count(replica, arrival, result)
        }
        Ok(Route::Process) => {
            let result = Box::pin(process(replica, &parts.headers, &mut body, arrival)).await;
            count(replica, arrival, result)
        }
        Ok(Route::Embeddings) => {
            let result = Box::pin(openai::embeddings(replica, &parts.headers, &mut body, arrival)).await;
            count(replica, arrival, result)
        }
        Ok(route) => {
            // Clients exist (tritonclient over asyncio) that name encodings with each call and read them in inferences alone.
            accept = None;
            look_up(replica, route)
        }
    };
    // What is refused before it was read is read all the same, within bounds: a reset of its stream would reach the client
    // in place of the refusal.
    body::discard(body).await;
    match answered {
        Ok(response) => compress(accept, response).await,
        Err(error) if parts.uri.path() == "/v1/embeddings" => openai::refusal(&error),
        Err(error) => error_response(&error),
    }
}

/// A body that is whole, before it becomes a response.
pub type Whole = Response<Vec<u8>>;

fn json(value: &impl Serialize) -> Whole {
    // Only keys that are no texts can't be written, and none of what is written here has such.
    typed(JSON, serde_json::to_vec(value).unwrap_or_default())
}

/// A body with its content type.
pub fn typed(content_type: HeaderValue, body: Vec<u8>) -> Whole {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

fn look_up(replica: &Replica, route: Route<'_>) -> Result<Whole, Error> {
    let facts = &replica.facts;
    let checked = |named: Named<'_>| replica.check_name(named.name, named.version);
    Ok(match route {
        Route::Server => json(&models::server()),
        Route::OpenApi => json(&openapi::document(replica)),
        Route::Live => json(&Live { live: true }),
        Route::Ready => ready(replica, &Ready { ready: true })?,
        Route::V1List => json(&Models { models: [&facts.name], object: "list", data: [openai::model(&facts.name)] }),
        Route::ModelReady(named) | Route::V1Ready(named) => {
            checked(named)?;
            ready(replica, &ModelReady { name: named.name, ready: true })?
        }
        Route::Metadata(named) => {
            checked(named)?;
            json(&models::metadata(facts, named.name))
        }
        Route::Config(named) => {
            checked(named)?;
            json(&models::config(facts, named.name))
        }
        Route::Stats(named) => {
            checked(named)?;
            json(&models::stats(facts, named.name, &replica.metrics.totals()))
        }
        Route::AllStats => json(&models::stats(facts, &facts.name, &replica.metrics.totals())),
        Route::Index => {
            json(&[IndexedModel { name: &facts.name, version: &facts.version, state: "READY", reason: "" }])
        }
        Route::Metrics => typed(
            HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
            replica.metrics.render(replica.depth(), replica.door.in_flight()).into_bytes(),
        ),
        Route::Report => {
            json(&serde_json::to_value(replica.report()).map_err(|_| Error::new(Kind::Engine, "no report"))?)
        }
        Route::Infer(_) | Route::V1Predict(_) | Route::Process | Route::Embeddings => {
            return Err(Error::new(Kind::Method("POST"), "this route takes POST"));
        }
    })
}

fn ready(replica: &Replica, yes: &impl Serialize) -> Result<Whole, Error> {
    if replica.is_ready() {
        Ok(json(yes))
    } else {
        Err(Error::new(Kind::Unavailable, "the server takes no requests now"))
    }
}

/// A request that was let in, with its body.
pub struct Received {
    /// The body, decoded.
    pub body: Bytes,
    /// Counts it as in flight for as long as it is held.
    pub permit: Permit,
    /// How deep its JSON may nest: as the service allows, and the gateway now.
    pub json_depth: u32,
}

/// Admits a request and reads its body, decoded.
pub async fn receive<B>(replica: &Replica, headers: &HeaderMap, body: B) -> Result<Received, Error>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let mut permit = replica.door.admit()?;
    let Limits { bytes, json_depth } = replica.facts.limits.lowered(headers);
    let max = usize::try_from(bytes).unwrap_or(usize::MAX);
    let body = body::read(body, max, &mut permit, |_| None).await?;
    let body = encoding::decode(headers, body, max, &mut permit).await?;
    Ok(Received { body, permit, json_depth })
}

async fn infer<B>(
    replica: &Arc<Replica>,
    named: Named<'_>,
    headers: &HeaderMap,
    body: B,
    arrival: Instant,
) -> Result<(Whole, Times), Error>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    replica.check_name(named.name, named.version)?;
    let Received { body, permit: _permit, json_depth } = receive(replica, headers, body).await?;
    let request = parse(replica, headers, body)?;
    let asked = request.timeout.into_iter().chain(deadline::asked(headers)).min();
    let deadline = replica.deadline(arrival, asked);
    let input = arrival.elapsed();
    let (id, wanted, binary) = (request.id.clone(), request.outputs.clone(), request.binary_outputs);
    let (outputs, times) = replica.infer_once(request, deadline, json_depth).await?;
    let head = Head { model: named.name, version: &replica.facts.version, id: id.as_deref() };
    let encoded = response::encode(head, &outputs, &wanted, binary)?;
    let mut response = typed(JSON, encoded.body);
    if let Some(length) = encoded.json_length {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        response.headers_mut().insert(JSON_LENGTH, HeaderValue::from(length));
    }
    Ok((response, Times { input, ..times }))
}

/// An inference whose answers are written as they come.
async fn infer_each<B>(
    replica: &Arc<Replica>,
    named: Named<'_>,
    headers: &HeaderMap,
    body: B,
    arrival: Instant,
) -> Result<Response<Body>, Error>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    replica.check_name(named.name, named.version)?;
    let Received { body, permit, json_depth } = receive(replica, headers, body).await?;
    let request = parse(replica, headers, body)?;
    let asked = request.timeout.into_iter().chain(deadline::asked(headers)).min();
    let deadline = replica.deadline(arrival, asked);
    let input = arrival.elapsed();
    let call = Call { priority: request.priority, deadline, json_depth };
    let (answers, rows) = replica.infer(request.inputs, &request.outputs, call)?;
    let times = Times { rows, input, ..Times::default() };
    let (name, id, wanted) = (named.name.to_owned(), request.id, request.outputs);
    let asked = events::Asked { name, id, wanted, answers, deadline, arrival, times, permit };
    events::respond(Arc::clone(replica), asked).await
}

/// The header says where the JSON ends; without it, the body is JSON whatever its content type.
fn parse(replica: &Replica, headers: &HeaderMap, mut body: Bytes) -> Result<InferRequest, Error> {
    let Some(value) = headers.get(JSON_LENGTH) else { return request::parse(&body, Bytes::new()) };
    let length = value
        .to_str()
        .ok()
        .and_then(|text| text.parse::<usize>().ok())
        .filter(|&length| length <= body.len())
        .ok_or_else(|| Error::invalid("inference-header-content-length isn't a length within the body"))?;
    if length == 0 {
        return request::parse_raw(&body, &replica.facts.signature);
    }
    let json = body.split_to(length);
    request::parse(&json, body)
}

async fn predict<B>(
    replica: &Arc<Replica>,
    named: Named<'_>,
    headers: &HeaderMap,
    body: B,
    arrival: Instant,
) -> Result<(Whole, Times), Error>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    replica.check_name(named.name, named.version)?;
    let Received { body, permit: _permit, json_depth } = receive(replica, headers, body).await?;
    let inputs = v1::parse(&body, &replica.facts.signature)?;
    let input = arrival.elapsed();
    let request = InferRequest { inputs, ..InferRequest::default() };
    let deadline = replica.deadline(arrival, deadline::asked(headers));
    let (outputs, times) = replica.infer_once(request, deadline, json_depth).await?;
    let body = v1::encode(&outputs)?;
    Ok((typed(JSON, body), Times { input, ..times }))
}

async fn process<B>(
    replica: &Arc<Replica>,
    headers: &HeaderMap,
    body: B,
    arrival: Instant,
) -> Result<(Whole, Times), Error>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let Received { body, permit, json_depth } = receive(replica, headers, body).await?;
    let json = is_json(headers);
    if replica.reads_json(json) {
        json_depth::check(&body, json_depth)?;
    }
    let until = replica.deadline(arrival, deadline::asked(headers));
    let raw = Raw { body, json, deadline: Some(until) };
    let (processed, _permit) = process::process(replica, raw, until, permit).await?;
    let body =
        serde_json::to_vec(&processed.value).map_err(|_| Error::new(Kind::Engine, "the answer can't be written"))?;
    Ok((typed(JSON, body), processed.times))
}

/// Whether the content type is JSON, whatever parameters follow it.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Counts an inference, however it ended.
fn count(replica: &Replica, arrival: Instant, result: Result<(Whole, Times), Error>) -> Result<Whole, Error> {
    let total = arrival.elapsed();
    match result {
        Ok((response, times)) => {
            replica.metrics.succeeded(&Times { total, ..times });
            Ok(response)
        }
        Err(error) => {
            replica.metrics.failed(total, &error);
            Err(error)
        }
    }
}

async fn compress(accept: Option<&HeaderValue>, response: Whole) -> Response<Body> {
    let (mut parts, mut body) = response.into_parts();
    if let Some((name, packed)) = encoding::encode(accept, &body).await {
        parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
        body = packed;
    }
    Response::from_parts(parts, Body::new(Full::new(Bytes::from(body))))
}

/// An error as a response: `{"error": "..."}`, and what callers and gateways need to go on.
#[must_use]
pub fn error_response(error: &Error) -> Response<Body> {
    error_with(error, &Failure { error: &error.message })
}

/// An error whose body is what callers of its route expect.
#[must_use]
pub fn error_with(error: &Error, body: &impl Serialize) -> Response<Body> {
    let (_, body) = json(body).into_parts();
    let mut response = Response::new(Body::new(Full::new(Bytes::from(body))));
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    if error.not_admitted {
        headers.insert(NOT_ADMITTED, YES);
    }
    if matches!(error.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if let Kind::Method(allowed) = error.kind {
        headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
    if matches!(error.kind, Kind::Slow | Kind::TooLarge) {
        // The rest of the body is not read: the connection can't be used again.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
