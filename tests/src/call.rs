//! Calls by curl, as a tenant makes them.

use anyhow::{Context, Result};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The full URL.
    pub url: String,
    /// The API key, if any.
    pub key: Option<String>,
    /// The certificate authority that the server's certificate is checked with.
    pub ca: PathBuf,
    /// Further headers, as `Name: value`.
    pub headers: Vec<String>,
    /// The body; absent: GET.
    pub body: Option<Vec<u8>>,
    /// Longest time.
    pub limit: Duration,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status; 0: no answer.
    pub status: u16,
    /// Headers, as they came.
    pub headers: String,
    /// The body.
    pub body: Vec<u8>,
    /// Time to the last byte.
    pub took: Duration,
    /// What curl said when there was no answer.
    pub problem: String,
}

impl Answer {
    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The text of an error body.
    #[must_use]
    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }
}

impl Call {
    /// The same call with another header.
    #[must_use]
    pub fn header(mut self, line: &str) -> Self {
        self.headers.push(line.to_owned());
        self
    }

    /// The same call with a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The same call with another key, or none.
    #[must_use]
    pub fn key(mut self, key: Option<&str>) -> Self {
        self.key = key.map(str::to_owned);
        self
    }

    /// Makes the call.
    ///
    /// # Errors
    /// curl can't be run. A refused connection is an answer with status 0.
    pub fn send(&self) -> Result<Answer> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--include", "--noproxy", "*", "--suppress-connect-headers"]);
        curl.args(["--write-out", "%{stderr}\n%{http_code} %{time_total}"]);
        curl.args(["--max-time", &self.limit.as_secs_f64().to_string()]);
        curl.arg("--cacert").arg(&self.ca);
        curl.args(["--header", "Expect:"]);
        if let Some(key) = &self.key {
            curl.args(["--header", &format!("Authorization: Bearer {key}")]);
        }
        for line in &self.headers {
            curl.args(["--header", line]);
        }
        if self.body.is_some() {
            curl.args(["--request", "POST", "--data-binary", "@-"]);
        }
        curl.arg(&self.url).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = curl.spawn().context("can't run curl: install Debian's package curl")?;
        let mut stdin = child.stdin.take().context("standard input was piped")?;
        let body = self.body.clone().unwrap_or_default();
        let writer = std::thread::spawn(move || drop(stdin.write_all(&body)));
        let output = child.wait_with_output()?;
        drop(writer.join());
        Ok(answer(&output.stdout, &String::from_utf8_lossy(&output.stderr)))
    }
}

/// Takes apart what curl printed: headers and body on one side, its figures on the other.
fn answer(stdout: &[u8], stderr: &str) -> Answer {
    let (problem, figures) = stderr.rsplit_once('\n').unwrap_or(("", stderr));
    let mut figures = figures.split_whitespace();
    let status = figures.next().and_then(|status| status.parse().ok()).unwrap_or(0);
    let took = figures.next().and_then(|time| time.parse().ok()).unwrap_or(0.0);
    let mut rest = stdout;
    let mut headers = String::new();
    // An interim answer (100 Continue) comes before the final one: the last block of headers counts.
    while rest.starts_with(b"HTTP/") {
        let Some(end) = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { break };
        headers = String::from_utf8_lossy(&rest[..end]).to_lowercase();
        rest = &rest[end + 4..];
    }
    Answer {
        status,
        headers,
        body: rest.to_vec(),
        took: Duration::from_secs_f64(took),
        problem: problem.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn the_last_headers_count_and_the_body_is_kept_as_it_is() {
        let found = answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/2 404 \r\nA: B\r\n\r\n{\"error\":\"x\"}", "\n404 0.25");
        assert_eq!((found.status, found.headers.as_str(), found.error().as_str()), (404, "http/2 404 \r\na: b", "x"));
        assert_eq!(found.took.as_millis(), 250);
    }

    #[test]
    fn no_answer_is_status_0_with_what_curl_said() {
        let found = answer(b"", "curl: (7) refused\n000 0.0");
        assert_eq!((found.status, found.problem.as_str()), (0, "curl: (7) refused"));
    }
}
