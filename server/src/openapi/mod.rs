//! The OpenAPI document of the model that is served: each path is one that it answers, with its own inputs and outputs.
//!
//! What only the platform may read (`/metrics`, `/report`) isn't in it.

mod document;
mod tensors;

pub use document::{Content, Document, Media};

use crate::{
    error::Kind,
    http::answers::{
        Failure, IndexedModel, Live, ModelConfig, ModelMetadata, ModelReady, Models, Ready, ServerMetadata, Statistics,
    },
    protocol::embeddings,
    replica::{Replica, Served},
};
use document::{Answer, Components, Info, Operation, Parameter, PathItem, RequestBody, Server};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
const EVENTS: &str = "text/event-stream";

const DESCRIPTION: &str = "The Open Inference Protocol, KServe's version 1, and raw input where the service has a pipeline. Bodies may be \
    compressed (gzip, deflate, zstd). x-request-timeout shortens the time that a request has, such as 300ms. Through a gateway, send its \
    key as Authorization: Bearer.";

/// How an inference may fail.
const INFERENCE: [Kind; 8] = [
    Kind::Invalid,
    Kind::Slow,
    Kind::TooLarge,
    Kind::Unprocessable,
    Kind::Exhausted,
    Kind::Engine,
    Kind::Unavailable,
    Kind::Deadline,
];

fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "The request is malformed, or doesn't fit the model",
        Kind::NotFound => "There is no such model",
        Kind::Method(_) => "The path doesn't take this method",
        Kind::Slow => "The body came too slowly",
        Kind::TooLarge => "The body is larger than the service takes",
        Kind::Unprocessable => "The pipeline can't process this input, or the model can't be run on it",
        Kind::Exhausted => "Too many requests wait: send it again later",
        Kind::Engine => "The engine failed on this request",
        Kind::Unsupported => "The request asks for a part of the protocol that isn't served",
        Kind::Unavailable => "The server takes no requests now",
        Kind::Deadline => "The time of the request is over",
    }
}

/// Describes what a replica answers.
#[must_use]
pub fn document(replica: &Replica) -> Document {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut writer = Writer { replica, generator: settings.into_generator(), paths: BTreeMap::new() };
    writer.server();
    let facts = &replica.facts;
    let model = format!("/v2/models/{}", facts.name);
    writer.model(&model, "");
    writer.model(&format!("{model}/versions/{}", facts.version), "OfVersion");
    writer.v1();
    writer.raw();
    // After the model's, for it is this one that is answered, whatever the model's name.
    writer.read::<Statistics<'_>>("/v2/models/stats", "statisticsOfAll", "Statistics of all models", &[]);
    let schemas = writer.generator.take_definitions(true);
    Document {
        openapi: "3.1.0",
        info: Info { title: facts.name.clone(), version: facts.version.clone(), description: DESCRIPTION },
        servers: [Server { url: "." }],
        paths: writer.paths,
        components: Components { schemas },
    }
}

struct Writer<'a> {
    replica: &'a Replica,
    generator: SchemaGenerator,
    paths: BTreeMap<String, PathItem>,
}

/// How an operation fails: with which errors, in which form.
struct Fails<'a> {
    kinds: &'a [Kind],
    body: fn(&mut SchemaGenerator) -> Media,
}

impl Writer<'_> {
    fn server(&mut self) {
        self.read::<serde_json::Map<String, serde_json::Value>>("/openapi.json", "openapi", "This document", &[]);
        self.read::<ServerMetadata>("/v2", "serverMetadata", "What the server is", &[]);
        self.read::<Live>("/v2/health/live", "serverLive", "Whether the server lives", &[]);
        self.read::<Ready>("/v2/health/ready", "serverReady", "Whether it takes requests", &[Kind::Unavailable]);
        let index = Media::from(self.generator.subschema_for::<[IndexedModel<'_>; 1]>());
        let operation = self.operation("repositoryIndex", "The models that are served", index, &fails(&[]));
        self.post("/v2/repository/index", operation);
    }

    fn model(&mut self, path: &str, suffix: &str) {
        let named = |name: &str| format!("{name}{suffix}");
        self.read::<ModelMetadata<'_>>(path, &named("metadata"), "What the model takes and gives", &[]);
        let unready = [Kind::Unavailable];
        self.read::<ModelReady<'_>>(&format!("{path}/ready"), &named("ready"), "Whether it takes requests", &unready);
        self.read::<ModelConfig<'_>>(&format!("{path}/config"), &named("config"), "Its configuration", &[]);
        self.read::<Statistics<'_>>(&format!("{path}/stats"), &named("statistics"), "Its statistics", &[]);
        let facts = &self.replica.facts;
        let (request, answer) = (tensors::request(facts), tensors::answer(&facts.signature));
        let example = match &self.replica.served {
            Served::Model(pipeline) => pipeline.sample(&facts.signature).and_then(|sample| tensors::example(&sample)),
            Served::Graph(_) => None,
        };
        let kinds: Vec<Kind> = INFERENCE.into_iter().chain([Kind::Unsupported]).collect();
        let mut operation = self.operation(&named("infer"), "Runs the model on tensors", answer.into(), &fails(&kinds));
        if let Some(well) = operation.responses.get_mut(&200) {
            well.content.extend([(BYTES, Media::default()), (EVENTS, json_schema!({"type": "string"}).into())]);
        }
        operation.parameters.push(Parameter {
            name: "Inference-Header-Content-Length",
            place: "header",
            description: "Length of the JSON in front of raw tensors; 0: the body is the one input itself",
            schema: json_schema!({"type": "integer", "minimum": 0}),
        });
        let json = Media { schema: Some(request), example };
        operation.request_body = body([(JSON, json), (BYTES, Media::default())]);
        self.post(&format!("{path}/infer"), operation);
    }

    fn v1(&mut self) {
        self.read::<Models<'_>>("/v1/models", "models", "The models that are served", &[]);
        let path = format!("/v1/models/{}", self.replica.facts.name);
        self.read::<ModelReady<'_>>(&path, "readyV1", "Whether the model takes requests", &[Kind::Unavailable]);
        let signature = &self.replica.facts.signature;
        if let [input] = signature.inputs.as_slice() {
            let (request, answer) = (tensors::instances(input), tensors::predictions(&signature.outputs));
            let summary = "Runs the model, by KServe's version 1";
            let mut operation = self.operation("predict", summary, answer.into(), &fails(&INFERENCE));
            operation.request_body = body([(JSON, request.into())]);
            self.post(&format!("{path}:predict"), operation);
        }
    }

    /// What only a pipeline gives.
    fn raw(&mut self) {
        let kinds = INFERENCE;
        let pipeline = match &self.replica.served {
            Served::Model(pipeline) => Arc::clone(pipeline),
            Served::Graph(graph) => {
                // What its last step makes, of whatever its models found.
                let mut operation =
                    self.operation("process", "Runs the graph on raw input", json_schema!(true).into(), &fails(&kinds));
                operation.request_body =
                    Some(RequestBody { required: true, content: graph.forms(&mut self.generator) });
                return self.post("/process", operation);
            }
        };
        if pipeline.takes_raw() {
            let (forms, answer) = (pipeline.forms(&mut self.generator), pipeline.answers(&mut self.generator));
            let mut operation =
                self.operation("process", "Runs the pipeline on raw input", answer.into(), &fails(&kinds));
            operation.request_body = Some(RequestBody { required: true, content: forms });
            self.post("/process", operation);
        }
        if pipeline.embedder().is_some() {
            let request = Media {
                schema: Some(self.generator.subschema_for::<embeddings::Wire>()),
                example: Some(json!({"model": self.replica.facts.name, "input": ["a text", "another"]})),
            };
            let answer = self.generator.subschema_for::<embeddings::Answer<'_>>();
            let kinds: Vec<Kind> = kinds.into_iter().chain([Kind::NotFound]).collect();
            let fails = Fails {
                kinds: &kinds,
                body: |generator| generator.subschema_for::<embeddings::OpenAiFailure<'_>>().into(),
            };
            let mut operation = self.operation("embeddings", "Texts to vectors, as OpenAI's", answer.into(), &fails);
            operation.request_body = body([(JSON, request)]);
            self.post("/v1/embeddings", operation);
        }
    }

    /// A path that is read, with its answer's type.
    fn read<T: JsonSchema>(&mut self, path: &str, name: &str, summary: &'static str, kinds: &[Kind]) {
        let answer = Media::from(self.generator.subschema_for::<T>());
        let get = self.operation(name, summary, answer, &fails(kinds));
        self.paths.insert(path.to_owned(), PathItem { get: Some(get), ..PathItem::default() });
    }

    fn post(&mut self, path: &str, operation: Operation) {
        self.paths.insert(path.to_owned(), PathItem { post: Some(operation), ..PathItem::default() });
    }

    fn operation(&mut self, name: &str, summary: &'static str, answer: Media, fails: &Fails<'_>) -> Operation {
        let well = Answer { description: "It went well", content: Content::from([(JSON, answer)]) };
        let mut responses = BTreeMap::from([(200, well)]);
        for &kind in fails.kinds {
            let content = Content::from([(JSON, (fails.body)(&mut self.generator))]);
            responses.insert(kind.status().as_u16(), Answer { description: meaning(kind), content });
        }
        Operation { operation_id: name.to_owned(), summary, parameters: Vec::new(), request_body: None, responses }
    }
}

fn fails(kinds: &[Kind]) -> Fails<'_> {
    Fails { kinds, body: |generator| generator.subschema_for::<Failure<'_>>().into() }
}

fn body<const N: usize>(forms: [(&'static str, Media); N]) -> Option<RequestBody> {
    Some(RequestBody { required: true, content: forms.into() })
}
