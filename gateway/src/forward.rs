//! From an admitted request to a server's answer: pick, wait where there is no replica, send, and send again what no server
//! has taken in.

use crate::admit::Admitted;
use crate::body::{Attempt, Fault, Upload};
use crate::fleet::{Replica, Service};
use crate::front::Gateway;
use crate::hold::Ticket;
use crate::inputs::ServiceId;
use crate::pick;
use crate::respond::{Protocol, Refusal};
use crate::upstream::Lease;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use millrace_hop::{NOT_ADMITTED, deadline};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

/// Sends of one request, the first included.
const ATTEMPTS: usize = 4;
/// How long a request rests when every replica has refused it and the table hasn't changed.
const REST: Duration = Duration::from_millis(100);
/// How long replicas that are listed as ready may be out of reach before the client is told.
const OUT_OF_REACH: Duration = Duration::from_secs(10);
/// What a held request may occupy beside what was read of it: the window in which its client may go on sending.
pub const WINDOW: u32 = 64 << 10;

/// A request that a server has; dropping it counts its end with the replica.
#[derive(Debug)]
pub struct Sent {
    replica: Arc<Replica>,
    since: Instant,
    /// Whether the server failed it.
    pub failed: bool,
    _lease: Lease,
}

impl Sent {
    fn new(replica: &Arc<Replica>, lease: Lease) -> Self {
        replica.in_flight.fetch_add(1, Relaxed);
        replica.counters.in_flight.fetch_add(1, Relaxed);
        Self { replica: Arc::clone(replica), since: Instant::now(), failed: false, _lease: lease }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.replica.in_flight.fetch_sub(1, Relaxed);
        self.replica.counters.end(self.since.elapsed(), self.failed);
    }
}

/// Whether a gRPC status is a failure of ours: UNAVAILABLE or INTERNAL.
#[must_use]
pub fn grpc_failed(headers: &HeaderMap) -> bool {
    headers.get("grpc-status").is_some_and(|status| matches!(status.as_bytes(), b"13" | b"14"))
}

/// One request on its way.
pub struct Exchange<'a> {
    /// The gateway.
    pub gateway: &'a Gateway,
    /// For whom.
    pub id: &'a ServiceId,
    /// Method, path and headers, as the server gets them.
    pub head: &'a Parts,
    /// Its body.
    pub upload: &'a Upload,
    /// Its end.
    pub deadline: Instant,
    /// What the client speaks.
    pub protocol: Protocol,
    /// Falls into the weights of revisions.
    pub dice: u64,
    /// Its place.
    pub admitted: &'a Admitted,
}

enum Outcome {
    Answer(Response<Incoming>, Sent),
    /// Nothing was sent.
    Unsent,
    /// No server has taken it in. The answer is there if a server said so itself.
    NotAdmitted(Option<(Response<Incoming>, Sent)>),
    Failed(Refusal),
}

impl Exchange<'_> {
    /// Goes on until there is an answer or none can be had.
    ///
    /// # Errors
    /// The refusal to send instead.
    pub async fn run(&self) -> Result<(Response<Incoming>, Sent), Refusal> {
        match tokio::time::timeout_at(self.deadline, self.attempts()).await {
            Ok(result) => result,
            Err(_) if self.protocol == Protocol::Http && self.upload.waits_for_client() => Err(Refusal::SlowBody),
            Err(_) => Err(Refusal::Deadline),
        }
    }

    async fn attempts(&self) -> Result<(Response<Incoming>, Sent), Refusal> {
        let mut tried: Vec<String> = Vec::new();
        let mut sends = 0;
        let mut unsent_since = None;
        loop {
            let replica = self.acquire(&mut tried).await?;
            tried.push(replica.endpoint.uid.clone());
            let refused = match self.send(&replica).await {
                Outcome::Answer(response, sent) => return Ok((response, sent)),
                Outcome::Failed(refusal) => return Err(refusal),
                // What was never sent costs no server anything, so neither attempts nor the budget bound it: time does.
                Outcome::Unsent if unsent_since.get_or_insert_with(Instant::now).elapsed() < OUT_OF_REACH => continue,
                Outcome::Unsent => return Err(Refusal::Unavailable("no replica can be reached".into())),
                Outcome::NotAdmitted(refused) => refused,
            };
            sends += 1;
            let full = refused.as_ref().is_some_and(|(response, _)| response.status() == StatusCode::TOO_MANY_REQUESTS);
            let elsewhere = self.service().is_ok_and(|service| self.pick(&service, &tried).is_some());
            // A full queue is an answer where there is no other one; that a server goes or can't be reached is not.
            let again = sends < ATTEMPTS && (elsewhere || !full) && self.upload.can_replay();
            if !(again && self.admitted.state.may_retry()) {
                return refused.ok_or_else(|| Refusal::Unavailable("no replica takes the request".into()));
            }
            self.gateway.totals.retries.inc();
        }
    }

    fn service(&self) -> Result<Arc<Service>, Refusal> {
        let live = self.gateway.fleet.load();
        live.services.get(self.id).cloned().ok_or_else(|| Refusal::NotFound("the service was deleted".into()))
    }

    fn pick(&self, service: &Service, tried: &[String]) -> Option<Arc<Replica>> {
        let now = self.gateway.reporter.uptime();
        let open = |revision: &str| {
            service.replicas.iter().any(|r| r.endpoint.revision == revision && !tried.contains(&r.endpoint.uid))
        };
        let revision = pick::revision(&service.route.weights, open, self.dice)?;
        let replicas: Vec<_> = service.replicas.iter().filter(|r| r.endpoint.revision == revision).collect();
        let candidates: Vec<_> =
            replicas.iter().map(|replica| replica.candidate(now, tried.contains(&replica.endpoint.uid))).collect();
        pick::replica(&candidates, self.gateway.dice.throw()).map(|index| Arc::clone(replicas[index]))
    }

    /// A replica, as soon as there is one.
    async fn acquire(&self, tried: &mut Vec<String>) -> Result<Arc<Replica>, Refusal> {
        let mut ticket = None;
        let mut changes = self.gateway.fleet.changes();
        loop {
            changes.mark_unchanged();
            let service = self.service()?;
            if let Some(replica) = self.pick(&service, tried) {
                return Ok(replica);
            }
            if service.replicas.is_empty() {
                if let Some(reason) = &service.route.blocked {
                    return Err(Refusal::Unavailable(reason.clone()));
                }
                if service.route.tenant.is_none() {
                    return Err(Refusal::Unavailable("no tenant holds its namespace".into()));
                }
            }
            if ticket.is_none() {
                ticket = Some(self.hold()?);
            }
            if service.replicas.is_empty() {
                if changes.changed().await.is_err() {
                    return Err(Refusal::Unavailable("the gateway is shutting down".into()));
                }
            } else {
                // Those that are listed have all refused: the list is old, or they come back.
                let _ = tokio::time::timeout(REST, changes.changed()).await;
                tried.clear();
            }
        }
    }

    fn hold(&self) -> Result<Ticket, Refusal> {
        let kept = u64::try_from(self.upload.kept_bytes()).unwrap_or(u64::MAX);
        let declared =
            self.head.headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let unread = declared.unwrap_or(u64::from(WINDOW)).min(u64::from(WINDOW));
        let tenant = self.admitted.tenant.as_ref().map(|tenant| &tenant.room);
        let (bounds, reporter) = (self.gateway.settings.hold, &self.gateway.reporter);
        Ticket::take(&self.admitted.state, tenant, kept + unread, bounds, reporter)
    }

    async fn send(&self, replica: &Arc<Replica>) -> Outcome {
        let lease = match replica.channel.lease(&self.gateway.connector).await {
            Ok(lease) => lease,
            Err(error) => {
                tracing::debug!(%error, service = %self.id, "can't connect to a server");
                replica.fail(self.gateway.reporter.uptime(), true);
                return Outcome::Unsent;
            }
        };
        let mut sender = lease.sender.clone();
        let mut sent = Sent::new(replica, lease);
        match sender.try_send_request(self.request()).await {
            Ok(response) => self.judge(response, sent),
            Err(mut failure) => {
                if let Some(fault) = self.upload.fault() {
                    return Outcome::Failed(refusal_of(fault, self));
                }
                sent.failed = true;
                let unsent = failure.take_message().is_some();
                replica.fail(self.gateway.reporter.uptime(), unsent);
                tracing::debug!(error = %failure.error(), service = %self.id, unsent, "a server gave no answer");
                match unsent {
                    true => Outcome::Unsent,
                    false if refused(failure.error()) => Outcome::NotAdmitted(None),
                    false => Outcome::Failed(Refusal::Broken),
                }
            }
        }
    }

    fn judge(&self, response: Response<Incoming>, mut sent: Sent) -> Outcome {
        if response.headers().contains_key(NOT_ADMITTED) {
            return Outcome::NotAdmitted(Some((response, sent)));
        }
        let status = response.status();
        sent.failed =
            (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED) || grpc_failed(response.headers());
        if sent.failed {
            sent.replica.fail(self.gateway.reporter.uptime(), false);
        } else {
            sent.replica.succeed();
        }
        Outcome::Answer(response, sent)
    }

    fn request(&self) -> Request<Attempt> {
        let mut request = Request::new(self.upload.attempt());
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.head.uri.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.head.headers.clone();
        let grpc = self.protocol == Protocol::Grpc;
        deadline::pass_on(request.headers_mut(), self.deadline.saturating_duration_since(Instant::now()), grpc);
        if grpc {
            request.headers_mut().insert(http::header::TE, HeaderValue::from_static("trailers"));
        }
        request
    }
}

fn refusal_of(fault: Fault, exchange: &Exchange<'_>) -> Refusal {
    match fault {
        Fault::TooLarge => Refusal::TooLarge(exchange.service().map_or(0, |service| service.route.limits.bytes)),
        Fault::Slow => Refusal::SlowBody,
        Fault::Deadline => Refusal::Deadline,
        Fault::Client | Fault::Superseded | Fault::Server => Refusal::Malformed("the request's body broke off".into()),
    }
}

/// Whether the server says that it never took the stream in: REFUSED_STREAM, or a stream beyond its GOAWAY.
fn refused(error: &hyper::Error) -> bool {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(inner) = cause {
        if let Some(h2) = inner.downcast_ref::<h2::Error>() {
            let gone = h2.is_go_away() && h2.reason() == Some(h2::Reason::NO_ERROR);
            return h2.is_remote() && (gone || h2.reason() == Some(h2::Reason::REFUSED_STREAM));
        }
        cause = inner.source();
    }
    false
}

/// The address of a request to a server: its name for humans as authority, the path as the caller wrote it.
///
/// # Errors
/// If the path can't be in an address.
pub fn server_uri(id: &ServiceId, path: &str, query: Option<&str>) -> Result<Uri, Refusal> {
    let path = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    Uri::builder()
        .scheme("https")
        .authority(format!("{}.{}", id.name, id.namespace))
        .path_and_query(path)
        .build()
        .map_err(|_| Refusal::Malformed("the path can't be read".into()))
}
