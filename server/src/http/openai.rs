//! OpenAI's `/v1/embeddings`, for services whose pipeline turns a text into a vector.

use super::{
    answers::ListedModel,
    handlers::{self, JSON, Received, Whole},
};
use crate::{
    error::{Error, Kind},
    metrics::Times,
    pipeline::{Pipeline, Prepared, Value, text::Given},
    process,
    protocol::{
        embeddings::{self, EmbeddingsRequest, Item},
        json_depth,
    },
    replica::Replica,
};
use bytes::Bytes;
use http::{HeaderMap, Response};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};
use tonic::body::Body;

/// Answers a request.
///
/// # Errors
/// A request that isn't one, another model, a service without embeddings, texts beyond a limit; and as any inference.
pub async fn embeddings<B>(
    replica: &Arc<Replica>,
    headers: &HeaderMap,
    body: B,
    arrival: Instant,
) -> Result<(Whole, Times), Error>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let Received { body, permit, json_depth } = handlers::receive(replica, headers, body).await?;
    json_depth::check(&body, json_depth)?;
    let request = embeddings::parse(&body)?;
    replica.check_name(&request.model, None)?;
    let deadline = replica.deadline(arrival, millrace_hop::deadline::asked(headers));
    let request = Arc::new(request);
    let tokens = Arc::new(AtomicUsize::new(0));
    let (asked, counted) = (Arc::clone(&request), Arc::clone(&tokens));
    let prepare = move |pipeline: &Pipeline| {
        let (prepared, count) = prepare(pipeline, &asked, deadline)?;
        counted.store(count, Ordering::Relaxed);
        Ok(prepared)
    };
    let (processed, _permit) = process::process_by(replica, prepare, deadline, permit).await?;
    let vectors = vectors(processed.value)?;
    let width = vectors.first().map_or(0, Vec::len);
    if let Some(asked) = request.dimensions.filter(|&asked| asked != width) {
        return Err(Error::invalid(format!(
            "dimensions is {asked}; this model's vectors have {width}, and can't be cut"
        )));
    }
    let body = embeddings::encode(&request, &vectors, tokens.load(Ordering::Relaxed))?;
    Ok((handlers::typed(JSON, body), processed.times))
}

fn prepare(pipeline: &Pipeline, request: &EmbeddingsRequest, deadline: Instant) -> Result<(Prepared, usize), Error> {
    let text = pipeline.embedder().ok_or_else(|| {
        Error::new(
            Kind::Unsupported,
            "this service gives no embeddings: its pipeline doesn't turn a text into a vector",
        )
    })?;
    let given: Vec<Given<'_>> = request
        .items
        .iter()
        .map(|item| match item {
            Item::Text(text) => Given::Text(text),
            Item::Tokens(ids) => Given::Tokens(ids),
        })
        .collect();
    let (runs, count) = text.runs(&given, Some(deadline))?;
    Ok((Prepared::Runs(runs), count))
}

fn vectors(value: Value) -> Result<Vec<Vec<f32>>, Error> {
    let unfit = || Error::new(Kind::Engine, "the pipeline gave no vectors");
    let Value::List(values) = value else { return Err(unfit()) };
    let vector = |value| if let Value::Vector(numbers) = value { Ok(numbers) } else { Err(unfit()) };
    values.into_iter().map(vector).collect()
}

/// A refusal in OpenAI's form.
#[must_use]
pub fn refusal(error: &Error) -> Response<Body> {
    handlers::error_with(error, &embeddings::error(error))
}

/// The model as OpenAI lists it.
#[must_use]
pub fn model(name: &str) -> ListedModel<'_> {
    ListedModel { id: name, object: "model", created: 0, owned_by: "millrace" }
}
