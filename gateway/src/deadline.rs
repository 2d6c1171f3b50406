//! When a request's time is over: the least of what the service allows and what the caller asks, in either protocol's header.

use http::{HeaderMap, HeaderValue};
use std::time::Duration;
use tokio::time::Instant;

/// gRPC's header: a number of at most 8 digits and a unit.
const GRPC: &str = "grpc-timeout";
/// The same for HTTP: `300ms`, `2s`, `1m30s`.
const HTTP: &str = "x-request-timeout";

/// The end of a request.
#[must_use]
pub fn end(now: Instant, allowed: Duration, headers: &HeaderMap) -> Instant {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let grpc = text(GRPC).and_then(grpc_timeout);
    let http = text(HTTP).and_then(|text| millrace_crds::Duration::from(text).to_std());
    let asked = grpc.into_iter().chain(http).min().unwrap_or(allowed);
    now + asked.min(allowed)
}

/// Tells the server how much time is left.
pub fn pass_on(headers: &mut HeaderMap, left: Duration, grpc: bool) {
    headers.remove(GRPC);
    headers.remove(HTTP);
    let millis = left.as_millis().clamp(1, 99_999_999);
    let (name, text) = if grpc { (GRPC, format!("{millis}m")) } else { (HTTP, format!("{millis}ms")) };
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(name, value);
    }
}

fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8 && !digits.starts_with('+'))?;
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
    fn the_least_counts() {
        let now = Instant::now();
        for (name, value, seconds) in [
            (GRPC, "5S", 5.0),
            (GRPC, "1H", 30.0),
            (GRPC, "250m", 0.25),
            (GRPC, "5", 30.0),
            (GRPC, "é", 30.0),
            (GRPC, "+5S", 30.0),
            (GRPC, "999999999S", 30.0),
            (HTTP, "300ms", 0.3),
            (HTTP, "soon", 30.0),
            ("x-other", "1s", 30.0),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            let left = end(now, Duration::from_secs(30), &headers) - now;
            assert!((left.as_secs_f64() - seconds).abs() < 1e-6, "{name}: {value} gave {left:?}");
        }
    }

    #[test]
    fn only_one_header_goes_on() {
        let mut headers = HeaderMap::new();
        headers.insert(HTTP, HeaderValue::from_static("1s"));
        pass_on(&mut headers, Duration::from_millis(1500), true);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[GRPC], "1500m");
    }
}
