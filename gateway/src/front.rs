//! The request path: one function that reads as the list of its steps.

use crate::admit;
use crate::auth::{self, Caller, Pepper};
use crate::body::{Fault, ResponseBody, Upload};
use crate::deadline;
use crate::fleet::{Fleet, Live, Service};
use crate::forward::{Exchange, server_uri};
use crate::hold::Bounds;
use crate::inputs::ServiceId;
use crate::metrics::Totals;
use crate::peek::Peek;
use crate::policy::{self, Dice, REQUEST_ID};
use crate::report::Reporter;
use crate::respond::{Protocol, Refusal};
use crate::root;
use crate::target::{Target, target};
use crate::tracked::Tracked;
use crate::upstream::Connector;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderValue};
use http::request::Parts;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// What a gateway is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Services answer at `SERVICE.NAMESPACE.DOMAIN`; empty: no domain.
    pub domain: String,
    /// Bounds of waiting.
    pub hold: Bounds,
    /// Longest silence of a client within a body.
    pub body_idle: Duration,
}

/// The gateway's state.
#[derive(Debug)]
pub struct Gateway {
    /// Settings.
    pub settings: Settings,
    /// Table and replicas.
    pub fleet: Fleet,
    /// Connections to servers.
    pub connector: Connector,
    /// The secret of key hashes.
    pub pepper: Pepper,
    /// Reports.
    pub reporter: Reporter,
    /// Metrics of the process.
    pub totals: Totals,
    /// Chance.
    pub dice: Dice,
}

/// A request whose service is known.
struct Routed {
    service: Arc<Service>,
    path: String,
}

impl Gateway {
    /// With nothing in its table yet.
    #[must_use]
    pub fn new(settings: Settings, pepper: Pepper, name: &str) -> Self {
        Self {
            settings,
            fleet: Fleet::default(),
            connector: Connector::default(),
            pepper,
            reporter: Reporter::new(name),
            totals: Totals::default(),
            dice: Dice::default(),
        }
    }

    /// Answers a request. `screened` is false when its head could be read in two ways.
    pub async fn handle(&self, request: Request<Incoming>, screened: bool) -> Response<ResponseBody> {
        let (mut head, incoming) = request.into_parts();
        let protocol = Protocol::of(&head.headers);
        let id = self.dice.request_id(&mut head.headers);
        let idle = (protocol == Protocol::Http).then_some(self.settings.body_idle);
        let upload = Upload::new(incoming, u64::MAX, idle);
        let result = if screened {
            self.serve(head, &upload, protocol, &id).await
        } else {
            Err(Refusal::Malformed("the request's framing can be read in two ways".into()))
        };
        let mut response = result.unwrap_or_else(|refusal| {
            tracing::debug!(%refusal, id = ?id, "refused");
            self.totals.refused(refusal.reason());
            // On HTTP/1 the sender would find the connection closed under its feet; on HTTP/2 the stream would be reset, and
            // curl then reports the reset and not the refusal.
            if screened && upload.is_unread() {
                tokio::spawn(upload.clone().discard());
            }
            refusal.respond(protocol)
        });
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }

    async fn serve(
        &self,
        mut head: Parts,
        upload: &Upload,
        protocol: Protocol,
        id: &HeaderValue,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let arrived = Instant::now();
        policy::check(&head.method, head.version, &head.headers)?;
        let live = self.fleet.load();
        let caller = auth::authenticate(&live.table, &self.pepper, &head.headers, now())?;
        if caller == Caller::Anonymous && !live.table.any_anonymous {
            return Err(Refusal::NoKey);
        }
        let target = self.target(&live, &head).map_err(|refusal| or_no_key(&caller, refusal))?;
        let routed = match target {
            Target::Root(_) if caller == Caller::Anonymous => return Err(Refusal::NoKey),
            Target::Root(root) => return Ok(root::answer(root, &live, &caller, protocol)),
            Target::Service { id, path } => Routed { service: allowed(&live, &caller, &id)?, path },
            Target::Model { name } => {
                Routed { service: named(&live, &caller, &name)?, path: head.uri.path().to_owned() }
            }
            Target::GrpcModel if protocol == Protocol::Http => {
                return Err(Refusal::Unsupported("this path speaks gRPC: send content-type application/grpc"));
            }
            Target::GrpcModel => {
                let name = self.peek(upload).await?;
                Routed { service: named(&live, &caller, &name)?, path: head.uri.path().to_owned() }
            }
        };
        let route = &routed.service.route;
        check_length(&head, route.limits.bytes)?;
        upload.set_max(route.limits.bytes);
        let deadline = deadline::end(arrived, route.timeout, &head.headers);
        let mut admitted = admit::admit(&live, &routed.service, &self.reporter)?;
        head.uri = server_uri(&route.id, &routed.path, head.uri.query())?;
        policy::strip_request(&mut head.headers);
        head.headers.remove(EXPECT);
        route.limits.pass_on(&mut head.headers);
        drop(live); // a request may live for long; the table that it came by needn't
        let exchange = Exchange {
            gateway: self,
            id: &route.id,
            head: &head,
            upload,
            deadline,
            protocol,
            dice: self.dice.of(id.as_bytes()),
            admitted: &admitted,
        };
        let (response, sent) = match exchange.run().await {
            Ok(answer) => answer,
            Err(refusal) => {
                admitted.failed = refusal.status().is_server_error();
                return Err(refusal);
            }
        };
        admitted.failed = sent.failed;
        let (mut parts, body) = response.into_parts();
        policy::strip_response(&mut parts.headers);
        let body = Tracked::new(body, sent, admitted, deadline, protocol).boxed_unsync();
        Ok(Response::from_parts(parts, body))
    }

    fn target(&self, live: &Live, head: &Parts) -> Result<Target, Refusal> {
        let header = head.headers.get(HOST).and_then(|value| value.to_str().ok());
        let host = match (head.uri.authority(), header) {
            (Some(authority), Some(host)) if !authority.as_str().eq_ignore_ascii_case(host) => {
                return Err(Refusal::Malformed("two different hosts".into()));
            }
            (Some(authority), _) => authority.as_str(),
            (None, host) => host.unwrap_or_default(),
        };
        target(host, head.uri.path(), &self.settings.domain, |id| live.services.contains_key(id))
    }

    async fn peek(&self, upload: &Upload) -> Result<String, Refusal> {
        let peeked = tokio::time::timeout(self.settings.body_idle, upload.peek_name()).await;
        match peeked.unwrap_or(Err(Fault::Slow)) {
            Ok(Peek::Name(name)) => Ok(name),
            Ok(Peek::Bad(text)) => Err(Refusal::Malformed(text.into())),
            Err(Fault::Slow) => Err(Refusal::SlowBody),
            Ok(Peek::More) | Err(_) => Err(Refusal::Malformed("the request's body broke off".into())),
        }
    }
}

/// Who has shown no key learns nothing of what exists.
fn or_no_key(caller: &Caller, refusal: Refusal) -> Refusal {
    if *caller == Caller::Anonymous { Refusal::NoKey } else { refusal }
}

/// The service, if the caller may call it.
fn allowed(live: &Live, caller: &Caller, id: &ServiceId) -> Result<Arc<Service>, Refusal> {
    let unknown = || or_no_key(caller, Refusal::NotFound(format!("there is no service {id}")));
    let service = live.services.get(id).ok_or_else(unknown)?;
    if service.route.anonymous || caller.is(service.route.tenant.as_deref()) {
        return Ok(Arc::clone(service));
    }
    Err(or_no_key(caller, Refusal::NotYours(id.to_string())))
}

/// The service that a model's name means to this caller.
fn named(live: &Live, caller: &Caller, name: &str) -> Result<Arc<Service>, Refusal> {
    if name.is_empty() {
        return Err(or_no_key(caller, Refusal::Malformed("the request names no model".into())));
    }
    if let Some((namespace, name)) = name.split_once('.') {
        return allowed(live, caller, &ServiceId::new(namespace, name));
    }
    let ids = live.table.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
    let mut mine: Vec<_> = ids.iter().filter_map(|id| allowed(live, caller, id).ok()).collect();
    match mine.len() {
        0 => Err(or_no_key(caller, Refusal::NotFound(format!("there is no model {}", name.escape_debug())))),
        1 => Ok(mine.remove(0)),
        _ => {
            let forms: Vec<_> = mine.iter().map(|service| service.route.id.to_string()).collect();
            Err(Refusal::Malformed(format!("{name} is ambiguous: use one of {}", forms.join(", "))))
        }
    }
}

fn check_length(head: &Parts, max: u64) -> Result<(), Refusal> {
    let Some(value) = head.headers.get(CONTENT_LENGTH) else { return Ok(()) };
    let length: Option<u64> = value.to_str().ok().and_then(|text| text.parse().ok());
    match length {
        None => Err(Refusal::Malformed("content-length is no number".into())),
        Some(length) if length > max => Err(Refusal::TooLarge(max)),
        Some(_) => Ok(()),
    }
}

/// Seconds since the epoch.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}
