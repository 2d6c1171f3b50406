//! Paths to routes: a pure table.

use crate::error::{Error, Kind};
use http::Method;

/// A model as a path names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// Name, plain or with its namespace.
    pub name: &'a str,
    /// Version, if the path has one.
    pub version: Option<&'a str>,
}

/// What a call wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `v2`
    Server,
    /// `v2/health/live`
    Live,
    /// `v2/health/ready`
    Ready,
    /// `v2/models/M`
    Metadata(Named<'a>),
    /// `v2/models/M/ready`
    ModelReady(Named<'a>),
    /// `v2/models/M/config`
    Config(Named<'a>),
    /// `v2/models/M/stats`
    Stats(Named<'a>),
    /// `v2/models/stats`
    AllStats,
    /// `POST v2/models/M/infer`
    Infer(Named<'a>),
    /// `POST v2/repository/index`
    Index,
    /// `v1/models`
    V1List,
    /// `v1/models/M`
    V1Ready(Named<'a>),
    /// `POST v1/models/M:predict`
    V1Predict(Named<'a>),
    /// `POST v1/embeddings`
    Embeddings,
    /// `POST process`
    Process,
    /// `openapi.json`
    OpenApi,
    /// `metrics`
    Metrics,
    /// `report`
    Report,
}

/// Finds the route.
///
/// # Errors
/// 404, 405, or 501 for what the protocol has and this server doesn't.
pub fn find<'a>(method: &Method, path: &'a str) -> Result<Route<'a>, Error> {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let plain = |name| Named { name, version: None };
    let versioned = |name, version| Named { name, version: Some(version) };
    let (route, wants) = match segments.as_slice() {
        ["v2"] | ["v2", ""] => (Route::Server, Method::GET),
        ["v2", "health", "live"] => (Route::Live, Method::GET),
        ["v2", "health", "ready"] => (Route::Ready, Method::GET),
        ["v2", "models", "stats"] => (Route::AllStats, Method::GET),
        ["v2", "models", name] => (Route::Metadata(plain(name)), Method::GET),
        ["v2", "models", name, "versions", version] => (Route::Metadata(versioned(name, version)), Method::GET),
        ["v2", "models", name, "ready"] => (Route::ModelReady(plain(name)), Method::GET),
        ["v2", "models", name, "versions", version, "ready"] => {
            (Route::ModelReady(versioned(name, version)), Method::GET)
        }
        ["v2", "models", name, "config"] => (Route::Config(plain(name)), Method::GET),
        ["v2", "models", name, "versions", version, "config"] => (Route::Config(versioned(name, version)), Method::GET),
        ["v2", "models", name, "stats"] => (Route::Stats(plain(name)), Method::GET),
        ["v2", "models", name, "versions", version, "stats"] => (Route::Stats(versioned(name, version)), Method::GET),
        ["v2", "models", name, "infer"] => (Route::Infer(plain(name)), Method::POST),
        ["v2", "models", name, "versions", version, "infer"] => (Route::Infer(versioned(name, version)), Method::POST),
        ["v2", "repository", "index"] => (Route::Index, Method::POST),
        ["v1", "models"] => (Route::V1List, Method::GET),
        ["v1", "models", name] => match name.split_once(':') {
            None => (Route::V1Ready(plain(name)), Method::GET),
            Some((name, "predict")) => (Route::V1Predict(plain(name)), Method::POST),
            Some((_, "explain")) => return Err(Error::new(Kind::Unsupported, "explain is not supported yet")),
            Some(_) => return Err(not_found()),
        },
        ["v1", "embeddings"] => (Route::Embeddings, Method::POST),
        ["process"] => (Route::Process, Method::POST),
        ["openapi.json"] => (Route::OpenApi, Method::GET),
        ["metrics"] => (Route::Metrics, Method::GET),
        ["report"] => (Route::Report, Method::GET),
        ["v2", "repository", "models", _, "load" | "unload"] => {
            return Err(unsupported("loading and unloading models"));
        }
        ["v2", "systemsharedmemory" | "cudasharedmemory", ..] => return Err(unsupported("shared memory")),
        ["v2", "trace", ..] | ["v2", "models", _, "trace", ..] => return Err(unsupported("trace settings")),
        ["v2", "logging", ..] => return Err(unsupported("log settings")),
        _ => return Err(not_found()),
    };
    // HEAD is GET without its body.
    let fits = *method == wants || (*method == Method::HEAD && wants == Method::GET);
    let allowed = if wants == Method::GET { "GET, HEAD" } else { "POST" };
    if fits { Ok(route) } else { Err(Error::new(Kind::Method(allowed), format!("this route takes {wants}"))) }
}

fn not_found() -> Error {
    Error::new(Kind::NotFound, "there is no such route")
}

fn unsupported(what: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{what} over the wire isn't supported"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let named = |version| Named { name: "m", version };
        for (method, path, expected) in [
            (Method::GET, "/v2", Ok(Route::Server)),
            (Method::GET, "/v2/models/m", Ok(Route::Metadata(named(None)))),
            (Method::POST, "/v2/models/m/infer", Ok(Route::Infer(named(None)))),
            (Method::POST, "/v2/models/m/versions/2/infer", Ok(Route::Infer(named(Some("2"))))),
            (Method::GET, "/v2/models/stats", Ok(Route::AllStats)),
            (Method::POST, "/v1/models/m:predict", Ok(Route::V1Predict(named(None)))),
            (Method::POST, "/v1/embeddings", Ok(Route::Embeddings)),
            (Method::GET, "/v1/embeddings", Err(Kind::Method("POST"))),
            (Method::POST, "/process", Ok(Route::Process)),
            (Method::GET, "/process", Err(Kind::Method("POST"))),
            (Method::HEAD, "/openapi.json", Ok(Route::OpenApi)),
            (Method::POST, "/openapi.json", Err(Kind::Method("GET, HEAD"))),
            (Method::POST, "/v2/repository/models/m/load", Err(Kind::Unsupported)),
            (Method::GET, "/v2/systemsharedmemory/status", Err(Kind::Unsupported)),
            (Method::GET, "/v2/logging", Err(Kind::Unsupported)),
            (Method::POST, "/v1/models/m:explain", Err(Kind::Unsupported)),
            (Method::GET, "/", Err(Kind::NotFound)),
            (Method::GET, "/v2/models/m/../../process", Err(Kind::NotFound)),
        ] {
            assert_eq!(find(&method, path).map_err(|error| error.kind), expected, "{method} {path}");
        }
    }
}
