//! The desk at which the operator assigns: the first assignment is taken, the same one may be asked after, any other is
//! refused for ever.

use crate::error::StartError;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use millrace_crds::{
    assignment::{Assigned, Assignment, LARGEST, NotAssigned, PATH},
    conditions::reason,
    report::StartupReport,
};
use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;

/// What became of the assignment.
#[derive(Clone, Debug)]
enum Outcome {
    /// There is none, or its model is on its way.
    Pending,
    /// Requests are taken.
    Serving(StartupReport),
    /// It can't be served.
    Failed(StartError),
}

/// Takes one assignment.
#[derive(Debug)]
pub struct Desk {
    /// Made before an assignment is taken: a later process must find it.
    mark: PathBuf,
    taken: Mutex<Option<Assignment>>,
    news: watch::Sender<bool>,
    outcome: watch::Sender<Outcome>,
}

impl Desk {
    /// A desk that has taken nothing; `mark` is the file that says that it has.
    #[must_use]
    pub fn new(mark: PathBuf) -> Self {
        let (news, outcome) = (watch::Sender::new(false), watch::Sender::new(Outcome::Pending));
        Self { mark, taken: Mutex::default(), news, outcome }
    }

    /// Waits for the assignment.
    pub async fn taken(&self) -> Assignment {
        loop {
            // The sender is ours: it can't be gone.
            let _ = self.news.subscribe().wait_for(|news| *news).await;
            if let Some(assignment) = self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                return assignment;
            }
        }
    }

    /// Requests are taken.
    pub fn serve(&self, startup: StartupReport) {
        self.outcome.send_replace(Outcome::Serving(startup));
    }

    /// The model can't be served.
    pub fn fail(&self, error: StartError) {
        self.outcome.send_replace(Outcome::Failed(error));
    }

    /// Answers one call; an assignment is answered once its model serves or can't.
    ///
    /// # Errors
    /// Never: errors are responses.
    pub async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<tonic::body::Body>, Infallible> {
        let (status, body) = match self.assign(request).await {
            Ok(assigned) => (StatusCode::OK, serde_json::to_vec(&assigned)),
            Err((status, refused)) => {
                tracing::warn!(%status, reason = refused.reason, "not assigned: {}", refused.message);
                (status, serde_json::to_vec(&refused))
            }
        };
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let mut response = Response::new(tonic::body::Body::new(body));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        Ok(response)
    }

    async fn assign(&self, request: Request<Incoming>) -> Result<Assigned, (StatusCode, NotAssigned)> {
        let refused =
            |status, reason: &str, message: String| Err((status, NotAssigned { reason: reason.to_owned(), message }));
        if request.uri().path() != PATH || request.method() != Method::POST {
            return refused(StatusCode::NOT_FOUND, reason::INVALID, format!("an assignment is POST {PATH}"));
        }
        let assignment = match Limited::new(request.into_body(), LARGEST).collect().await {
            Ok(body) => serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let assignment: Assignment = match assignment {
            Ok(assignment) => assignment,
            Err(error) => return refused(StatusCode::BAD_REQUEST, reason::INVALID, format!("no assignment: {error}")),
        };
        if let Err(why) = self.take(assignment) {
            return refused(StatusCode::CONFLICT, reason::CONFLICT, why);
        }
        let mut outcome = self.outcome.subscribe();
        let outcome = outcome.wait_for(|outcome| !matches!(outcome, Outcome::Pending)).await;
        match outcome.as_deref() {
            Ok(Outcome::Serving(startup)) => Ok(Assigned { startup: startup.clone() }),
            Ok(Outcome::Failed(StartError { reason, message })) => {
                refused(StatusCode::UNPROCESSABLE_ENTITY, reason, message.clone())
            }
            Ok(Outcome::Pending) | Err(_) => {
                refused(StatusCode::UNPROCESSABLE_ENTITY, reason::INVALID, "the server ends".to_owned())
            }
        }
    }

    /// Takes the first assignment, and that one again.
    fn take(&self, assignment: Assignment) -> Result<(), String> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match &*taken {
            Some(first) if *first == assignment => return Ok(()),
            Some(_) => return Err("this server was assigned before: it serves nobody else in its life".to_owned()),
            None => {}
        }
        std::fs::write(&self.mark, []).map_err(|error| format!("the mark of an assignment can't be made: {error}"))?;
        tracing::info!("assigned");
        *taken = Some(assignment);
        self.news.send_replace(true);
        Ok(())
    }
}
