//! The time that a request has left: said by the caller in a header of its protocol, least one counts.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

/// gRPC's header: a number of at most 8 digits and a unit.
pub const GRPC: HeaderName = HeaderName::from_static("grpc-timeout");
/// The same for HTTP: `300ms`, `2s`, `1m30s`.
pub const HTTP: HeaderName = HeaderName::from_static("x-request-timeout");

/// What the caller asks; `None` if it says nothing, or nothing that can be read.
#[must_use]
pub fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let http = text(HTTP).and_then(|text| millrace_crds::Duration::from(text).to_std());
    text(GRPC).and_then(grpc_timeout).into_iter().chain(http).min()
}

/// Says how much time is left, in the one header that fits the protocol.
pub fn pass_on(headers: &mut HeaderMap, left: Duration, grpc: bool) {
    headers.remove(GRPC);
    headers.remove(HTTP);
    let millis = left.as_millis().clamp(1, 99_999_999);
    let (name, text) = if grpc { (GRPC, format!("{millis}m")) } else { (HTTP, format!("{millis}ms")) };
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(name, value);
    }
}

/// Reads gRPC's form: one to eight digits, nothing before them, and one of the units `H M S m u n`.
#[must_use]
pub fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    // The standard library's parser also takes a sign.
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts() {
        let millis = |number| Some(Duration::from_millis(number));
        for (text, expected) in [
            ("100m", millis(100)),
            ("2S", millis(2_000)),
            ("1H", millis(3_600_000)),
            ("7u", Some(Duration::from_micros(7))),
            ("99999999S", millis(99_999_999_000)),
            ("", None),
            ("m", None),
            ("5", None),
            ("5x", None),
            ("+5S", None),
            ("-5S", None),
            (" 5S", None),
            ("5é", None),
            ("123456789S", None),
        ] {
            assert_eq!(grpc_timeout(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_least_of_both_headers_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(asked(&headers), None);
        headers.insert(HTTP, HeaderValue::from_static("soon"));
        assert_eq!(asked(&headers), None);
        headers.insert(GRPC, HeaderValue::from_static("5S"));
        assert_eq!(asked(&headers), Some(Duration::from_secs(5)));
        headers.insert(HTTP, HeaderValue::from_static("300ms"));
        assert_eq!(asked(&headers), Some(Duration::from_millis(300)));
    }

    #[test]
    fn what_is_passed_on_is_read_the_same_on_the_other_side() {
        for (left, read) in [
            (Duration::from_millis(1_500), Duration::from_millis(1_500)),
            (Duration::ZERO, Duration::from_millis(1)),
            (Duration::MAX, Duration::from_millis(99_999_999)),
        ] {
            for grpc in [false, true] {
                let mut headers = HeaderMap::new();
                headers.insert(HTTP, HeaderValue::from_static("1ms"));
                headers.insert(GRPC, HeaderValue::from_static("1m"));
                pass_on(&mut headers, left, grpc);
                assert_eq!(headers.len(), 1, "the caller's own word is taken away");
                assert_eq!(asked(&headers), Some(read), "{left:?} grpc: {grpc}");
            }
        }
    }
}
