//! What went wrong with a request, in words for the caller; the one table of status codes.
//!
//! Messages hold no path, address or internal name: what the engine says goes to the log, not to the wire.

use http::StatusCode;
use tonic::Code;

/// The class of an error; its status codes follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Malformed, wrong shape, type or tensor.
    Invalid,
    /// Unknown model, version or route.
    NotFound,
    /// The route exists, the method doesn't: it takes these.
    Method(&'static str),
    /// The body came too slowly.
    Slow,
    /// The body is larger than the service takes.
    TooLarge,
    /// The pipeline can't process this input.
    Unprocessable,
    /// Queue or quota full.
    Exhausted,
    /// The engine failed.
    Engine,
    /// A part of the protocol that this server doesn't have.
    Unsupported,
    /// Loading or draining.
    Unavailable,
    /// The deadline passed.
    Deadline,
}

impl Kind {
    /// Status over HTTP.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Exhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::Engine => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Deadline => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// An error that a caller sees.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Its class.
    pub kind: Kind,
    /// A sentence for the caller.
    pub message: String,
    /// Nothing of the request was begun: a gateway may send it elsewhere.
    pub not_admitted: bool,
}

impl Error {
    /// An error of a class.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), not_admitted: false }
    }

    /// Malformed, wrong shape, type or tensor.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// A refusal before anything was begun.
    pub fn refused(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), not_admitted: true }
    }

    /// Status over HTTP.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// Code over gRPC.
    #[must_use]
    pub fn code(&self) -> Code {
        match self.kind {
            Kind::Invalid | Kind::Unprocessable => Code::InvalidArgument,
            Kind::NotFound => Code::NotFound,
            Kind::Method(_) | Kind::Unsupported => Code::Unimplemented,
            Kind::TooLarge | Kind::Exhausted => Code::ResourceExhausted,
            Kind::Engine => Code::Internal,
            Kind::Unavailable => Code::Unavailable,
            Kind::Deadline | Kind::Slow => Code::DeadlineExceeded,
        }
    }

    /// A short word for metrics: bounded, never made from a message.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.kind {
            Kind::Invalid => "invalid",
            Kind::NotFound => "not_found",
            Kind::Method(_) => "method",
            Kind::Slow => "slow_body",
            Kind::TooLarge => "too_large",
            Kind::Unprocessable => "unprocessable",
            Kind::Exhausted => "exhausted",
            Kind::Engine => "engine",
            Kind::Unsupported => "unsupported",
            Kind::Unavailable => "unavailable",
            Kind::Deadline => "deadline",
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        let mut status = tonic::Status::new(error.code(), error.message);
        if error.not_admitted {
            let said = http::HeaderMap::from_iter([(millrace_hop::NOT_ADMITTED, millrace_hop::YES)]);
            *status.metadata_mut() = tonic::metadata::MetadataMap::from_headers(said);
        }
        status
    }
}

/// Why a server can't start: goes to the termination message, from where the operator copies it into a condition.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct StartError {
    /// One of `millrace_crds::conditions::reason`.
    pub reason: &'static str,
    /// A sentence that says how to mend it.
    pub message: String,
}

impl StartError {
    /// A reason and a sentence.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
