//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const EVERY: Duration = Duration::from_millis(50);

/// Asks `ready` until it says yes. The question may fail for a while: its last error becomes the reason of the failure.
///
/// # Errors
/// When `limit` has passed; the message names `what` and the last answer.
pub fn wait_until(what: &str, limit: Duration, mut ready: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    loop {
        let answer = ready();
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        if start.elapsed() > limit {
            let why = answer.err().map_or_else(String::new, |error| format!(": {error:#}"));
            bail!("{what} did not happen within {} s{why}", limit.as_secs());
        }
        std::thread::sleep(EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_ends_the_wait_and_the_last_error_is_told() {
        let mut asked = 0;
        let third_time = || {
            asked += 1;
            Ok(asked == 3)
        };
        wait_until("it", Duration::from_secs(5), third_time).unwrap();
        let error = wait_until("it", Duration::ZERO, || bail!("not yet")).unwrap_err();
        assert!(error.to_string().ends_with("not yet"), "{error}");
    }
}
