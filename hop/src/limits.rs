//! How large a request may be: said by the gateway, which knows the service as it is now. A server's own manifest is of its
//! revision, and limits change without a new one.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::str::FromStr;

/// Most bytes of a request, decoded.
pub const BYTES: HeaderName = HeaderName::from_static("x-request-max-bytes");
/// Deepest nesting of its JSON.
pub const JSON_DEPTH: HeaderName = HeaderName::from_static("x-request-max-json-depth");

/// Limits of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `access.maxRequestBytes`.
    pub bytes: u64,
    /// `access.maxJsonDepth`.
    pub json_depth: u32,
}

impl Limits {
    /// Says them, in place of what the caller said.
    pub fn pass_on(self, headers: &mut HeaderMap) {
        headers.insert(BYTES, HeaderValue::from(self.bytes));
        headers.insert(JSON_DEPTH, HeaderValue::from(self.json_depth));
    }

    /// The least of these and what the caller says, if it says something that can be read: nobody can raise them.
    #[must_use]
    pub fn lowered(self, headers: &HeaderMap) -> Self {
        Self { bytes: least(self.bytes, headers, BYTES), json_depth: least(self.json_depth, headers, JSON_DEPTH) }
    }
}

fn least<N: FromStr + Ord>(own: N, headers: &HeaderMap, name: HeaderName) -> N {
    match headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok()) {
        Some(said) => own.min(said),
        None => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_on_lowers_and_never_raises() {
        let own = Limits { bytes: 1_000, json_depth: 32 };
        let mut headers = HeaderMap::new();
        assert_eq!(own.lowered(&headers), own);
        headers.insert(BYTES, HeaderValue::from_static("1"));
        headers.insert(JSON_DEPTH, HeaderValue::from_static("many"));
        assert_eq!(own.lowered(&headers), Limits { bytes: 1, json_depth: 32 });
        for said in [Limits { bytes: 10, json_depth: 3 }, Limits { bytes: u64::MAX, json_depth: u32::MAX }] {
            said.pass_on(&mut headers);
            let least = Limits { bytes: said.bytes.min(1_000), json_depth: said.json_depth.min(32) };
            assert_eq!(own.lowered(&headers), least);
        }
        assert_eq!(headers.len(), 2, "the caller's own word is taken away");
    }
}
