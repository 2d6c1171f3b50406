//! The gRPC service over a replica.

use super::{
    convert::{self, Answer},
    proto::{self, StatisticDuration, grpc_inference_service_server::GrpcInferenceService},
};
use crate::{
    admit::Permit,
    error::Error,
    http::models,
    metrics::{Span, Times},
    protocol::{response::select, tensor::TensorSpec},
    replica::{Call, Replica, next_answer},
};
use futures::{Stream, StreamExt as _};
use http::HeaderMap;
use millrace_hop::limits::Limits;
use prost::Message as _;
use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// The service.
#[derive(Clone)]
pub struct Grpc(pub Arc<Replica>);

fn least(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}

/// What a call's headers say.
#[derive(Clone, Copy)]
pub(super) struct Told {
    /// The time that it has left.
    timeout: Option<Duration>,
    /// How deep JSON may nest, as the service allows, and the gateway now.
    json_depth: u32,
}

impl Told {
    /// `limits`: of the service, as the headers lower them.
    pub(super) fn of(headers: &HeaderMap, limits: Limits) -> Self {
        Self { timeout: millrace_hop::deadline::asked(headers), json_depth: limits.json_depth }
    }
}

/// One inference that was let in.
struct Begun {
    name: String,
    request: crate::protocol::request::InferRequest,
    deadline: Instant,
    _permit: Permit,
}

impl Grpc {
    fn told(&self, headers: &HeaderMap) -> Told {
        Told::of(headers, self.0.facts.limits.lowered(headers))
    }

    /// Lets in a message that the library has read.
    fn admit(&self, message: &proto::ModelInferRequest) -> Result<Permit, Error> {
        let mut permit = self.0.door.admit()?;
        permit.hold(message.encoded_len())?;
        Ok(permit)
    }

    fn begin(
        &self,
        mut message: proto::ModelInferRequest,
        permit: Permit,
        arrival: Instant,
        timeout: Option<Duration>,
    ) -> Result<Begun, Error> {
        self.0.check_name(&message.model_name, Some(&message.model_version))?;
        let name = std::mem::take(&mut message.model_name);
        let request = convert::request(message)?;
        let deadline = self.0.deadline(arrival, least(request.timeout, timeout));
        Ok(Begun { name, request, deadline, _permit: permit })
    }

    fn count(&self, arrival: Instant, times: Result<Times, &Error>) {
        let total = arrival.elapsed();
        match times {
            Ok(times) => self.0.metrics.succeeded(&Times { total, ..times }),
            Err(error) => self.0.metrics.failed(total, error),
        }
    }

    /// The first answer of one request, which `received` gives with its permit, as `write` writes it.
    pub(super) async fn infer<T>(
        &self,
        received: impl Future<Output = Result<(proto::ModelInferRequest, Permit), Error>>,
        told: Told,
        write: impl FnOnce(Answer, &str) -> T,
    ) -> Result<T, Error> {
        let arrival = Instant::now();
        let result = async {
            let (message, permit) = received.await?;
            let mut begun = self.begin(message, permit, arrival, told.timeout)?;
            let input = arrival.elapsed();
            let id = begun.request.id.take();
            let (outputs, times) = self.0.infer_once(begun.request, begun.deadline, told.json_depth).await?;
            let answer = write(Answer { name: begun.name, id, outputs }, &self.0.facts.version);
            Ok((answer, Times { input, ..times }))
        }
        .await;
        self.count(arrival, result.as_ref().map(|(_, times)| *times));
        result.map(|(answer, _)| answer)
    }

    /// All answers of one request, as they come.
    async fn infer_all(&self, message: proto::ModelInferRequest, told: Told, answers: &Answers) {
        let arrival = Instant::now();
        let result = self.infer_each(message, arrival, told, answers).await;
        self.count(arrival, result.as_ref().map(|times| *times));
        if let Err(error) = result {
            let answer = proto::ModelStreamInferResponse { error_message: error.message, infer_response: None };
            let _ = answers.send(Ok(answer)).await;
        }
    }

    async fn infer_each(
        &self,
        message: proto::ModelInferRequest,
        arrival: Instant,
        told: Told,
        out: &Answers,
    ) -> Result<Times, Error> {
        let permit = self.admit(&message)?;
        let begun = self.begin(message, permit, arrival, None)?;
        let request = begun.request;
        let call = Call { priority: request.priority, deadline: begun.deadline, json_depth: told.json_depth };
        let (mut answers, rows) = self.0.infer(request.inputs, &request.outputs, call)?;
        let mut times = Times { rows, input: arrival.elapsed(), ..Times::default() };
        while let Some(answer) = next_answer(&mut answers, begun.deadline).await? {
            times = Times { queue: answer.queued, infer: answer.computed, ..times };
            let outputs = select(answer.outputs, &request.outputs);
            let answer = Answer { name: begun.name.clone(), id: request.id.clone(), outputs };
            let response = convert::response(answer, &self.0.facts.version);
            let answer =
                proto::ModelStreamInferResponse { error_message: String::new(), infer_response: Some(response) };
            if out.send(Ok(answer)).await.is_err() {
                break;
            }
        }
        Ok(times)
    }
}

type Answers = tokio::sync::mpsc::Sender<Result<proto::ModelStreamInferResponse, Status>>;

fn span(span: &Span) -> Option<StatisticDuration> {
    Some(StatisticDuration { count: span.count, ns: span.nanos })
}

#[tonic::async_trait]
impl GrpcInferenceService for Grpc {
    async fn server_live(
        &self,
        _: Request<proto::ServerLiveRequest>,
    ) -> Result<Response<proto::ServerLiveResponse>, Status> {
        Ok(Response::new(proto::ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<proto::ServerReadyRequest>,
    ) -> Result<Response<proto::ServerReadyResponse>, Status> {
        Ok(Response::new(proto::ServerReadyResponse { ready: self.0.is_ready() }))
    }

    async fn model_ready(
        &self,
        request: Request<proto::ModelReadyRequest>,
    ) -> Result<Response<proto::ModelReadyResponse>, Status> {
        let request = request.into_inner();
        self.0.check_name(&request.name, Some(&request.version))?;
        Ok(Response::new(proto::ModelReadyResponse { ready: self.0.is_ready() }))
    }

    async fn server_metadata(
        &self,
        _: Request<proto::ServerMetadataRequest>,
    ) -> Result<Response<proto::ServerMetadataResponse>, Status> {
        Ok(Response::new(proto::ServerMetadataResponse {
            name: "millrace".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: models::EXTENSIONS.map(str::to_owned).to_vec(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<proto::ModelMetadataRequest>,
    ) -> Result<Response<proto::ModelMetadataResponse>, Status> {
        let request = request.into_inner();
        self.0.check_name(&request.name, Some(&request.version))?;
        let tensor = |spec: &TensorSpec| proto::model_metadata_response::TensorMetadata {
            name: spec.name.clone(),
            datatype: spec.datatype.name().to_owned(),
            shape: spec.shape.clone(),
        };
        let facts = &self.0.facts;
        Ok(Response::new(proto::ModelMetadataResponse {
            name: request.name,
            versions: vec![facts.version.clone()],
            platform: facts.platform.to_owned(),
            inputs: facts.signature.inputs.iter().map(tensor).collect(),
            outputs: facts.signature.outputs.iter().map(tensor).collect(),
        }))
    }

    async fn model_infer(
        &self,
        request: Request<proto::ModelInferRequest>,
    ) -> Result<Response<proto::ModelInferResponse>, Status> {
        let told = self.told(request.metadata().as_ref());
        let message = request.into_inner();
        let received = async move { self.admit(&message).map(|permit| (message, permit)) };
        Ok(Response::new(self.infer(received, told, convert::response).await?))
    }

    type ModelStreamInferStream = Pin<Box<dyn Stream<Item = Result<proto::ModelStreamInferResponse, Status>> + Send>>;

    /// Requests of a stream are answered one after the other, each with all its answers.
    async fn model_stream_infer(
        &self,
        request: Request<Streaming<proto::ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        let told = self.told(request.metadata().as_ref());
        let mut messages = request.into_inner();
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        let service = self.clone();
        tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                match message {
                    Ok(message) => {
                        tokio::select! {
                            () = service.infer_all(message, told, &sender) => {}
                            () = sender.closed() => return,
                        }
                    }
                    Err(status) => {
                        let _ = sender.send(Err(status)).await;
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn model_config(
        &self,
        request: Request<proto::ModelConfigRequest>,
    ) -> Result<Response<proto::ModelConfigResponse>, Status> {
        let request = request.into_inner();
        self.0.check_name(&request.name, Some(&request.version))?;
        let facts = &self.0.facts;
        let dims = |spec: &TensorSpec| (spec.name.clone(), spec.datatype.code(), models::dims(facts, spec));
        let input = |(name, data_type, dims)| proto::ModelInput { name, data_type, dims };
        let output = |(name, data_type, dims)| proto::ModelOutput { name, data_type, dims };
        let config = proto::ModelConfig {
            name: request.name,
            platform: facts.platform.to_owned(),
            backend: models::BACKEND.to_owned(),
            max_batch_size: i32::try_from(models::max_batch(facts)).unwrap_or(i32::MAX),
            input: facts.signature.inputs.iter().map(dims).map(input).collect(),
            output: facts.signature.outputs.iter().map(dims).map(output).collect(),
            dynamic_batching: facts.signature.batches().then(proto::ModelDynamicBatching::default),
        };
        Ok(Response::new(proto::ModelConfigResponse { config: Some(config) }))
    }

    async fn model_statistics(
        &self,
        request: Request<proto::ModelStatisticsRequest>,
    ) -> Result<Response<proto::ModelStatisticsResponse>, Status> {
        let request = request.into_inner();
        if !request.name.is_empty() {
            self.0.check_name(&request.name, Some(&request.version))?;
        }
        let totals = self.0.metrics.totals();
        let batch = |(&rows, time): (&usize, &Span)| proto::InferBatchStatistics {
            batch_size: rows as u64,
            compute_input: span(&Span { count: time.count, nanos: 0 }),
            compute_infer: span(time),
            compute_output: span(&Span { count: time.count, nanos: 0 }),
        };
        let stats = proto::ModelStatistics {
            name: self.0.facts.name.clone(),
            version: self.0.facts.version.clone(),
            last_inference: totals.last,
            inference_count: totals.rows,
            execution_count: totals.batches.values().map(|time| time.count).sum(),
            inference_stats: Some(proto::InferStatistics {
                success: span(&totals.success),
                fail: span(&totals.fail),
                queue: span(&totals.queue),
                compute_input: span(&totals.input),
                compute_infer: span(&totals.infer),
                compute_output: span(&totals.output),
                cache_hit: span(&Span::default()),
                cache_miss: span(&Span::default()),
            }),
            batch_stats: totals.batches.iter().map(batch).collect(),
        };
        Ok(Response::new(proto::ModelStatisticsResponse { model_stats: vec![stats] }))
    }

    async fn repository_index(
        &self,
        _: Request<proto::RepositoryIndexRequest>,
    ) -> Result<Response<proto::RepositoryIndexResponse>, Status> {
        let model = proto::repository_index_response::ModelIndex {
            name: self.0.facts.name.clone(),
            version: self.0.facts.version.clone(),
            state: "READY".to_owned(),
            reason: String::new(),
        };
        Ok(Response::new(proto::RepositoryIndexResponse { models: vec![model] }))
    }
}
