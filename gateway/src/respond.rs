//! The one place where errors become responses: a JSON `{"error"}` for HTTP, a status in the trailers for gRPC.

use crate::body::{ResponseBody, full};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};
use std::time::Duration;

/// What the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP with JSON errors.
    Http,
    /// gRPC over HTTP/2.
    Grpc,
}

impl Protocol {
    /// By content type, as every gRPC server tells it.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let grpc = headers.get(CONTENT_TYPE).is_some_and(|value| {
            let value = value.as_bytes();
            value.starts_with(b"application/grpc") && matches!(value.get(16), None | Some(b'+' | b';' | b' '))
        });
        if grpc { Self::Grpc } else { Self::Http }
    }
}

/// Why a request isn't answered by a server. Texts name nothing internal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400.
    #[error("{0}")]
    Malformed(String),
    /// 401: none given.
    #[error("an API key is needed: send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'")]
    NoKey,
    /// 401: not a live key.
    #[error("the API key is unknown or has expired")]
    BadKey,
    /// 403.
    #[error("this key gives no access to service {0}")]
    NotYours(String),
    /// 404.
    #[error("{0}")]
    NotFound(String),
    /// 408.
    #[error("the request's body came too slowly")]
    SlowBody,
    /// 413.
    #[error("the request's body is larger than the {0} bytes of access.maxRequestBytes")]
    TooLarge(u64),
    /// 429.
    #[error("{what}: try again later")]
    Busy {
        /// Which bound was met.
        what: &'static str,
        /// When to try again.
        after: Duration,
    },
    /// 501.
    #[error("{0}")]
    Unsupported(&'static str),
    /// 502 in all but name: the server broke off. Answered 503, because the request may be sent again.
    #[error("the server ended the request without an answer")]
    Broken,
    /// 503.
    #[error("the service can't answer: {0}")]
    Unavailable(String),
    /// 504.
    #[error("the request's time is over")]
    Deadline,
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::NoKey | Self::BadKey => StatusCode::UNAUTHORIZED,
            Self::NotYours(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Broken | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Deadline => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The gRPC status code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Malformed(_) => 3,
            Self::SlowBody | Self::Deadline => 4,
            Self::NotFound(_) => 5,
            Self::NotYours(_) => 7,
            Self::TooLarge(_) | Self::Busy { .. } => 8,
            Self::Unsupported(_) => 12,
            Self::Broken | Self::Unavailable(_) => 14,
            Self::NoKey | Self::BadKey => 16,
        }
    }

    /// A word for metrics, from a closed set.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::NoKey => "no_key",
            Self::BadKey => "bad_key",
            Self::NotYours(_) => "not_yours",
            Self::NotFound(_) => "not_found",
            Self::SlowBody => "slow_body",
            Self::TooLarge(_) => "too_large",
            Self::Busy { .. } => "busy",
            Self::Unsupported(_) => "unsupported",
            Self::Broken => "broken",
            Self::Unavailable(_) => "unavailable",
            Self::Deadline => "deadline",
        }
    }

    /// The response in the client's protocol.
    #[must_use]
    pub fn respond(&self, protocol: Protocol) -> Response<ResponseBody> {
        let mut response = match protocol {
            Protocol::Http => self.json(),
            Protocol::Grpc => grpc_status(self.code(), &self.to_string()),
        };
        let headers = response.headers_mut();
        match self {
            Self::Busy { after, .. } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
            }
            Self::Unavailable(_) | Self::Broken => {
                headers.insert(RETRY_AFTER, HeaderValue::from(1));
            }
            Self::NoKey | Self::BadKey if protocol == Protocol::Http => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }

    fn json(&self) -> Response<ResponseBody> {
        let text = serde_json::json!({"error": self.to_string()}).to_string();
        let mut response = json(text);
        *response.status_mut() = self.status();
        response
    }
}

/// A JSON answer.
#[must_use]
pub fn json(text: String) -> Response<ResponseBody> {
    let mut response = Response::new(full(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A gRPC answer of a status alone, in the headers (trailers-only).
#[must_use]
pub fn grpc_status(code: u8, message: &str) -> Response<ResponseBody> {
    let mut response = Response::new(full(""));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.extend(grpc_trailers(code, message));
    response
}

/// A gRPC status as trailers.
#[must_use]
pub fn grpc_trailers(code: u8, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
    if let Ok(message) = HeaderValue::from_str(&percent_encode(message)) {
        trailers.insert("grpc-message", message);
    }
    trailers
}

/// As gRPC wants its messages: printable ASCII without `%`, everything else by its bytes.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_by_content_type() {
        for (value, expect) in [
            ("application/grpc", Protocol::Grpc),
            ("application/grpc+proto", Protocol::Grpc),
            ("application/grpc;x=y", Protocol::Grpc),
            ("application/grpc-web", Protocol::Http),
            ("application/json", Protocol::Http),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
            assert_eq!(Protocol::of(&headers), expect, "{value}");
        }
    }

    #[test]
    fn statuses() {
        let busy = Refusal::Busy { what: "rate limit", after: Duration::from_millis(1) };
        let http = busy.respond(Protocol::Http);
        assert_eq!(http.status(), 429);
        assert_eq!(http.headers()[RETRY_AFTER], "1");
        let grpc = Refusal::NotFound("Größe 5%".into()).respond(Protocol::Grpc);
        assert_eq!(grpc.status(), 200);
        assert_eq!(grpc.headers()["grpc-status"], "5");
        assert_eq!(grpc.headers()["grpc-message"], "Gr%C3%B6%C3%9Fe 5%25");
    }
}
