//! Which headers come in and which go on: framing that can be read in two ways is refused, and what only the platform may
//! say is taken away.

use crate::respond::Refusal;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Version};
use millrace_hop::NOT_ADMITTED;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names a request in logs and in answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Between two neighbours only.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("http2-settings"),
];

/// What a caller claims about itself or carries for us alone.
const IDENTITY: [&str; 9] = [
    "authorization",
    crate::auth::KEY_HEADER,
    "cookie",
    "forwarded",
    "x-forwarded-client-cert",
    "x-forwarded-user",
    "x-remote-user",
    "x-real-ip",
    "x-not-admitted",
];
const IDENTITY_PREFIXES: [&str; 3] = ["x-millrace-", "x-forwarded-", "x-remote-"];
/// Longest request id that is taken over from the caller.
const LONGEST_ID: usize = 128;

/// Refuses what is no plain request.
///
/// # Errors
/// 400 for framing that two readers may read differently, 501 for CONNECT, TRACE and upgrades.
pub fn check(method: &Method, version: Version, headers: &HeaderMap) -> Result<(), Refusal> {
    let malformed = |text: &str| Err(Refusal::Malformed(text.to_owned()));
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(Refusal::Unsupported("the method isn't supported"));
    }
    if headers.contains_key(UPGRADE) {
        return Err(Refusal::Unsupported("upgrades aren't supported"));
    }
    if headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return malformed("more than one content-length");
    }
    if headers.get_all(HOST).iter().count() > 1 {
        return malformed("more than one host");
    }
    let encodings: Vec<_> = headers.get_all(TRANSFER_ENCODING).iter().collect();
    if encodings.len() > 1 || encodings.iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return malformed("a transfer encoding other than chunked");
    }
    if !encodings.is_empty() && (headers.contains_key(CONTENT_LENGTH) || version >= Version::HTTP_2) {
        return malformed("content-length and transfer-encoding at once");
    }
    Ok(())
}

/// Takes away what mustn't reach a server, hop by hop and identity.
pub fn strip_request(headers: &mut HeaderMap) {
    strip_hops(headers);
    headers.remove(HOST);
    for name in IDENTITY {
        headers.remove(name);
    }
    strip_prefixed(headers);
}

/// Takes away what mustn't reach a client.
pub fn strip_response(headers: &mut HeaderMap) {
    strip_hops(headers);
    headers.remove(NOT_ADMITTED);
    headers.remove("server");
    strip_prefixed(headers);
}

fn strip_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    // What frames the message isn't the caller's to take away by naming it in Connection.
    for name in named.iter().filter(|name| **name != CONTENT_LENGTH && **name != http::header::CONTENT_TYPE) {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn strip_prefixed(headers: &mut HeaderMap) {
    let claims = |name: &HeaderName| IDENTITY_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix));
    let names: Vec<HeaderName> = headers.keys().filter(|name| claims(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Makes numbers that a caller can't foresee; not for secrets.
#[derive(Debug, Default)]
pub struct Dice {
    keys: RandomState,
    thrown: AtomicU64,
}

impl Dice {
    /// The next number.
    pub fn throw(&self) -> u64 {
        self.keys.hash_one(self.thrown.fetch_add(1, Ordering::Relaxed))
    }

    /// The number that belongs to a text, always the same in this process.
    #[must_use]
    pub fn of(&self, text: &[u8]) -> u64 {
        self.keys.hash_one(text)
    }

    /// The request's id: the caller's if it is a sound one, else a new one, which is put into the headers.
    pub fn request_id(&self, headers: &mut HeaderMap) -> HeaderValue {
        let sound = |value: &HeaderValue| {
            let bytes = value.as_bytes();
            !bytes.is_empty() && bytes.len() <= LONGEST_ID && bytes.iter().all(u8::is_ascii_graphic)
        };
        if let Some(id) = headers.get(REQUEST_ID).filter(|id| sound(id)) {
            let id = id.clone();
            headers.insert(REQUEST_ID, id.clone());
            return id;
        }
        let text = format!("{:016x}{:016x}", self.throw(), self.throw());
        let id = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("none"));
        headers.insert(REQUEST_ID, id.clone());
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn two_readings_are_refused() {
        let status = |method: Method, version, pairs: &[_]| {
            check(&method, version, &headers(pairs)).map_or_else(|refusal| refusal.status().as_u16(), |()| 200)
        };
        let post = |pairs: &[_]| status(Method::POST, Version::HTTP_11, pairs);
        assert_eq!(post(&[("content-length", "3")]), 200);
        assert_eq!(post(&[("transfer-encoding", "chunked")]), 200);
        assert_eq!(post(&[("content-length", "3"), ("content-length", "3")]), 400);
        assert_eq!(post(&[("content-length", "3"), ("transfer-encoding", "chunked")]), 400);
        assert_eq!(post(&[("transfer-encoding", "gzip, chunked")]), 400);
        assert_eq!(post(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]), 400);
        assert_eq!(post(&[("host", "a"), ("host", "b")]), 400);
        assert_eq!(post(&[("upgrade", "websocket")]), 501);
        assert_eq!(status(Method::CONNECT, Version::HTTP_2, &[]), 501);
        assert_eq!(status(Method::POST, Version::HTTP_2, &[("transfer-encoding", "chunked")]), 400);
    }

    #[test]
    fn hops_and_claims_are_taken_away() {
        let mut map = headers(&[
            ("connection", "close, x-secret, content-length"),
            ("x-secret", "1"),
            ("content-length", "3"),
            ("x-api-key", "mr_x"),
            ("authorization", "Bearer mr_x"),
            ("x-millrace-tenant", "other"),
            ("x-forwarded-client-cert", "cn"),
            ("x-forwarded-for", "1.2.3.4"),
            ("traceparent", "00-1-2-01"),
            ("content-type", "application/json"),
        ]);
        strip_request(&mut map);
        let mut left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "content-type", "traceparent"]);
    }

    #[test]
    fn request_ids() {
        let dice = Dice::default();
        let mut map = headers(&[("x-request-id", "mine")]);
        assert_eq!(dice.request_id(&mut map), "mine");
        let mut map = headers(&[("x-request-id", "not sound")]);
        let id = dice.request_id(&mut map);
        assert_ne!(id, "not sound");
        assert_eq!(map.get_all(REQUEST_ID).iter().collect::<Vec<_>>(), [&id]);
    }
}
