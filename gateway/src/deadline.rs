//! When a request's time is over: the least of what the service allows and what the caller asks, in either protocol's header.

use http::HeaderMap;
use millrace_hop::deadline;
use std::time::Duration;
use tokio::time::Instant;

/// The end of a request.
#[must_use]
pub fn end(now: Instant, allowed: Duration, headers: &HeaderMap) -> Instant {
    now + deadline::asked(headers).unwrap_or(allowed).min(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_least_counts() {
        let now = Instant::now();
        for (name, value, seconds) in [
            (deadline::GRPC, "5S", 5.0),
            (deadline::GRPC, "1H", 30.0),
            (deadline::GRPC, "+5S", 30.0),
            (deadline::HTTP, "300ms", 0.3),
            (deadline::HTTP, "soon", 30.0),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(&name, HeaderValue::from_static(value));
            let left = end(now, Duration::from_secs(30), &headers) - now;
            assert!((left.as_secs_f64() - seconds).abs() < 1e-6, "{name}: {value} gave {left:?}");
        }
    }
}
