//! Answers on their way from an engine to those who wait for them.

use crate::{
    batch,
    engine::EngineError,
    error::{Error, Kind},
    protocol::tensor::Tensor,
};
use std::{collections::VecDeque, time::Duration};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// One answer to one request; most requests get one, some models give several.
#[derive(Debug)]
pub struct Answer {
    /// Output tensors of this request's rows.
    pub outputs: Vec<Tensor>,
    /// Time in the queue.
    pub queued: Duration,
    /// Time in the engine so far.
    pub computed: Duration,
}

/// Answers as they come.
#[derive(Debug)]
pub enum Answers {
    /// From an engine's thread; the end of the channel is the end of the answer.
    Coming(UnboundedReceiver<Result<Answer, Error>>),
    /// All are here.
    Here(VecDeque<Result<Answer, Error>>),
}

impl Answers {
    /// The next one; `None`: that was all.
    pub async fn recv(&mut self) -> Option<Result<Answer, Error>> {
        match self {
            Self::Coming(answers) => answers.recv().await,
            Self::Here(answers) => answers.pop_front(),
        }
    }
}

/// Who waits for some rows of a batch.
pub struct Client {
    /// The first of its rows.
    pub from: usize,
    /// How many they are.
    pub rows: usize,
    /// How long it waited.
    pub queued: Duration,
    /// Where its answers go.
    pub answers: UnboundedSender<Result<Answer, Error>>,
}

/// Sends each client its rows; `whole`: the only client's are all.
pub fn deliver(clients: &[Client], outputs: Vec<Tensor>, whole: bool, computed: Duration) {
    if whole {
        let client = &clients[0];
        let _ = client.answers.send(answer(Some(outputs), client.queued, computed));
        return;
    }
    for client in clients {
        let outputs = batch::split(&outputs, client.from, client.rows);
        let _ = client.answers.send(answer(outputs, client.queued, computed));
    }
}

/// An answer; `None`: the rows aren't there.
///
/// # Errors
/// The rows aren't there.
pub fn answer(outputs: Option<Vec<Tensor>>, queued: Duration, computed: Duration) -> Result<Answer, Error> {
    outputs
        .map(|outputs| Answer { outputs, queued, computed })
        .ok_or_else(|| Error::new(Kind::Engine, "the model gave fewer rows than it got"))
}

/// What callers hear of an engine that failed.
#[must_use]
pub fn failed() -> Error {
    Error::new(Kind::Engine, "the engine failed on this request")
}

/// What callers hear of a run without an answer.
#[must_use]
pub fn why(error: &EngineError) -> Error {
    match error {
        EngineError::Failed(_) => failed(),
        EngineError::Unfit(_) => Error::new(
            Kind::Unprocessable,
            "the model can't be run on these tensors: a length or a value in them is none that it knows",
        ),
    }
}

/// Tells all the same error.
pub fn fail(clients: &[Client], error: &Error) {
    for client in clients {
        let _ = client.answers.send(Err(error.clone()));
    }
}
