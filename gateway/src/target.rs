//! What a request is for, from its host and path alone.

use crate::inputs::ServiceId;
use crate::respond::Refusal;

/// The path under which the Open Inference Protocol's gRPC methods lie.
pub const GRPC_SERVICE: &str = "/inference.GRPCInferenceService/";

/// The thing that is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One service, and the path that its server gets.
    Service {
        /// The service.
        id: ServiceId,
        /// Path for the server.
        path: String,
    },
    /// A model by the name that the caller uses; the path goes to the server as it is.
    Model {
        /// `NAME` or `NAMESPACE.NAME`.
        name: String,
    },
    /// A gRPC method that names its model in the first message.
    GrpcModel,
    /// Something that the gateway answers itself.
    Root(Root),
}

/// What the gateway answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// Lives.
    Live,
    /// Is ready.
    Ready,
    /// Its name and extensions.
    Metadata,
    /// The caller's services.
    Index,
    /// The same in KServe v1's form.
    Models,
}

/// Reads host and path. `known` tells whether a service exists: only then does a host of two labels name one.
///
/// # Errors
/// 400 for a path that could be read in two ways, 404 for one that leads nowhere.
pub fn target(host: &str, path: &str, domain: &str, known: impl Fn(&ServiceId) -> bool) -> Result<Target, Refusal> {
    let folded = path.to_ascii_lowercase().replace("%2e", ".");
    if folded.contains("%2f") || folded.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(Refusal::Malformed("the path has dot segments or an escaped slash".into()));
    }
    if let Some(id) = host_service(host, domain, known) {
        return service(id, path);
    }
    if let Some(method) = path.strip_prefix(GRPC_SERVICE) {
        return Ok(match method {
            "ServerLive" => Target::Root(Root::Live),
            "ServerReady" => Target::Root(Root::Ready),
            "ServerMetadata" => Target::Root(Root::Metadata),
            "RepositoryIndex" => Target::Root(Root::Index),
            _ => Target::GrpcModel,
        });
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["v2"] | ["v2", ""] => Ok(Target::Root(Root::Metadata)),
        ["v2", "health", "live"] => Ok(Target::Root(Root::Live)),
        ["v2", "health", "ready"] => Ok(Target::Root(Root::Ready)),
        ["v2", "repository", "index"] => Ok(Target::Root(Root::Index)),
        ["v1", "models"] => Ok(Target::Root(Root::Models)),
        ["v2", "models", name, ..] if !name.is_empty() && *name != "stats" => {
            Ok(Target::Model { name: (*name).into() })
        }
        ["v1", "models", name, ..] if !name.is_empty() => {
            Ok(Target::Model { name: name.split(':').next().unwrap_or(name).into() })
        }
        ["v1" | "v2", ..] => Err(nowhere()),
        [namespace, name, ..] if label(namespace) && label(name) => {
            let rest = &path[path.len().min(namespace.len() + name.len() + 2)..];
            service(ServiceId::new(namespace, name), rest)
        }
        _ => Err(nowhere()),
    }
}

/// `SERVICE.NAMESPACE.DOMAIN`, or `SERVICE.NAMESPACE` of a service that exists.
fn host_service(host: &str, domain: &str, known: impl Fn(&ServiceId) -> bool) -> Option<ServiceId> {
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_end_matches('.').to_ascii_lowercase();
    let two = |text: &str| {
        let (name, namespace) = text.split_once('.')?;
        (label(name) && label(namespace)).then(|| ServiceId::new(namespace, name))
    };
    if !domain.is_empty() {
        let inside = host.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
        if let Some(id) = inside.and_then(two) {
            return Some(id);
        }
    }
    two(&host).filter(known)
}

/// Only the protocols of a model are let through: a server's metrics and report are the platform's.
fn service(id: ServiceId, path: &str) -> Result<Target, Refusal> {
    let inside = |root: &str| path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    if path.starts_with(GRPC_SERVICE) || inside("/v2") || inside("/v1") || matches!(path, "/process" | "/openapi.json")
    {
        Ok(Target::Service { id, path: path.to_owned() })
    } else {
        Err(nowhere())
    }
}

fn nowhere() -> Refusal {
    Refusal::NotFound(
        "nothing is at this path: use /NAMESPACE/SERVICE/v2/..., /NAMESPACE/SERVICE/process or /v2/models/SERVICE/..."
            .into(),
    )
}

/// A DNS label, the shape of namespaces and services.
fn label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, path: &str, expect: &str) {
        let known = |id: &ServiceId| *id == ServiceId::new("team-a", "magika");
        let seen = match target(host, path, "models.example", known) {
            Ok(Target::Service { id, path }) => format!("{id} {path}"),
            Ok(Target::Model { name }) => format!("model {name}"),
            Ok(Target::GrpcModel) => "grpc".into(),
            Ok(Target::Root(root)) => format!("{root:?}"),
            Err(refusal) => refusal.status().as_u16().to_string(),
        };
        assert_eq!(seen, expect, "{host} {path}");
    }

    #[test]
    fn targets() {
        check("gw", "/team-a/magika/process", "team-a.magika /process");
        check("gw", "/team-a/magika/v2/models/magika/infer", "team-a.magika /v2/models/magika/infer");
        check("gw", "/team-a/magika/v2", "team-a.magika /v2");
        check("gw", "/team-a/magika/v1/embeddings", "team-a.magika /v1/embeddings");
        check("gw", "/team-a/magika/openapi.json", "team-a.magika /openapi.json");
        check("gw", "/openapi.json", "404");
        check(
            "gw",
            "/team-a/magika/inference.GRPCInferenceService/ModelInfer",
            "team-a.magika /inference.GRPCInferenceService/ModelInfer",
        );
        check("gw", "/team-a/other/process", "team-a.other /process");
        for path in [
            "/team-a/magika",
            "/team-a/magika/",
            "/team-a/magika/metrics",
            "/team-a/magika/report",
            "/team-a/magika/v2x",
        ] {
            check("gw", path, "404");
        }
        for path in [
            "/team-a/magika/v2/../report",
            "/./v2",
            "/team-a%2Fmagika/v2",
            "/v2/models/a%2fb/infer",
            "/team-a/magika/v2/.%2E/report",
        ] {
            check("gw", path, "400");
        }
        check("magika.team-a.models.example", "/process", "team-a.magika /process");
        check("MAGIKA.team-a.models.example:8443", "/v2", "team-a.magika /v2");
        check("unknown.team-a.models.example", "/v2", "team-a.unknown /v2");
        check("magika.team-a", "/process", "team-a.magika /process");
        check("magika.team-a", "/metrics", "404");
        check("gateway.example", "/v2", "Metadata");
        check("models.example", "/v2/health/live", "Live");
        check("gw", "/v2/health/ready", "Ready");
        check("gw", "/v2/repository/index", "Index");
        check("gw", "/v1/models", "Models");
        check("gw", "/v2/models/magika/infer", "model magika");
        check("gw", "/v2/models/team-a.magika", "model team-a.magika");
        check("gw", "/v1/models/magika:predict", "model magika");
        check("gw", "/v2/models//infer", "404");
        check("gw", "/v2/models/stats", "404");
        check("gw", "/inference.GRPCInferenceService/ModelInfer", "grpc");
        check("gw", "/inference.GRPCInferenceService/ServerLive", "Live");
        check("gw", "/grpc.health.v1.Health/Check", "404");
        check("gw", "/", "404");
        check("gw", "/metrics", "404");
        check("gw", "*", "404");
    }
}
