//! Bodies: the request's, which is counted, may be peeked at, and is kept at its start so that it can be sent again.

use crate::peek::{self, Peek};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Most of a body that is kept for a second attempt.
pub const REPLAY: usize = 64 << 10;

/// Why a body broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// More bytes than the service takes.
    #[error("the body is too large")]
    TooLarge,
    /// The client sent nothing for too long.
    #[error("the body came too slowly")]
    Slow,
    /// The client broke off.
    #[error("the client ended the body")]
    Client,
    /// The attempt that this body belonged to is over.
    #[error("a newer attempt has taken over")]
    Superseded,
    /// The server broke off.
    #[error("the server ended the answer")]
    Server,
    /// The request's time is over.
    #[error("the request's time is over")]
    Deadline,
}

/// What clients are sent.
pub type ResponseBody = UnsyncBoxBody<Bytes, Fault>;

/// A body of a text that is at hand.
pub fn full(text: impl Into<Bytes>) -> ResponseBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What of a refused request's body is still read, so that its sender reads the refusal instead of a broken pipe.
const COURTESY: (u64, Duration) = (16 << 20, Duration::from_secs(2));

/// A request's body, shared by the attempts to send it.
#[derive(Clone, Debug)]
pub struct Upload(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    incoming: Incoming,
    /// Its start, as long as it is whole.
    kept: Vec<Bytes>,
    kept_bytes: usize,
    whole: bool,
    trailers: Option<HeaderMap>,
    ended: bool,
    total: u64,
    max: u64,
    fault: Option<Fault>,
    attempt: u64,
    idle: Option<Duration>,
    timer: Pin<Box<Sleep>>,
    /// The last poll found nothing: the client is what is waited for.
    waiting: bool,
}

impl Upload {
    /// Takes a body over. `idle` is the longest silence of the client; `None` for streams, whose end is the deadline.
    #[must_use]
    pub fn new(incoming: Incoming, max: u64, idle: Option<Duration>) -> Self {
        let timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self(Arc::new(Mutex::new(State {
            ended: incoming.is_end_stream(),
            incoming,
            kept: Vec::new(),
            kept_bytes: 0,
            whole: true,
            trailers: None,
            total: 0,
            max,
            fault: None,
            attempt: 0,
            idle,
            timer,
            waiting: false,
        })))
    }

    /// Sets the bound, once the service is known.
    pub fn set_max(&self, max: u64) {
        self.state().max = max;
    }

    /// A body for the next attempt; older attempts' bodies end with an error.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        let mut state = self.state();
        state.attempt += 1;
        Attempt { number: state.attempt, next: 0, trailed: false, upload: self.clone() }
    }

    /// Whether a new attempt would send all that was read so far.
    #[must_use]
    pub fn can_replay(&self) -> bool {
        let state = self.state();
        state.whole && state.fault.is_none()
    }

    /// What went wrong with it, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.state().fault
    }

    /// Whether the client's next bytes are being waited for.
    #[must_use]
    pub fn waits_for_client(&self) -> bool {
        let state = self.state();
        state.waiting && !state.ended
    }

    /// Bytes that it holds in memory.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.state().kept_bytes
    }

    /// Reads just so much that the model's name is known.
    ///
    /// # Errors
    /// If the body breaks off.
    pub async fn peek_name(&self) -> Result<Peek, Fault> {
        let mut start = Vec::new();
        loop {
            match peek::model_name(&start) {
                Peek::More => {}
                found => return Ok(found),
            }
            match poll_fn(|cx| self.state().pull(cx, usize::MAX)).await? {
                Some(data) => start.extend_from_slice(&data),
                None => return Ok(Peek::Bad("the body ended before its message")),
            }
        }
    }

    /// Reads on for a while and throws away what comes. No attempt may be under way.
    pub async fn discard(self) {
        let mut left = COURTESY.0;
        let read = async {
            while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut self.state().incoming).poll_frame(cx)).await {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let Some(rest) = left.checked_sub(u64::try_from(bytes).unwrap_or(u64::MAX)) else { return };
                left = rest;
            }
        };
        let _ = tokio::time::timeout(COURTESY.1, read).await;
    }

    /// Whether the client has more to send.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        let state = self.state();
        !state.ended && !state.incoming.is_end_stream() && state.fault != Some(Fault::Client)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next piece from the client, kept while no more than `keep` bytes are.
    fn pull(&mut self, cx: &mut Context<'_>, keep: usize) -> Poll<Result<Option<Bytes>, Fault>> {
        if let Some(fault) = self.fault {
            return Poll::Ready(Err(fault));
        }
        loop {
            if self.ended {
                return Poll::Ready(Ok(None));
            }
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Pending => {
                    ready!(self.poll_idle(cx));
                    return Poll::Ready(Err(self.fail(Fault::Slow)));
                }
                Poll::Ready(None) => self.ended = true,
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(self.fail(Fault::Client))),
                Poll::Ready(Some(Ok(frame))) => {
                    self.waiting = false;
                    match frame.into_data() {
                        Ok(data) => return Poll::Ready(self.take(data, keep).map(Some)),
                        Err(frame) => {
                            self.trailers = frame.into_trailers().ok();
                            self.ended = true;
                        }
                    }
                }
            }
        }
    }

    fn take(&mut self, data: Bytes, keep: usize) -> Result<Bytes, Fault> {
        self.total = self.total.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        if self.total > self.max {
            return Err(self.fail(Fault::TooLarge));
        }
        if self.whole {
            self.kept_bytes += data.len();
            if self.kept_bytes <= keep {
                self.kept.push(data.clone());
            } else {
                self.whole = false;
                self.kept = Vec::new();
                self.kept_bytes = 0;
            }
        }
        Ok(data)
    }

    /// Ready when the client has been silent for too long, since it was first found silent.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let started = std::mem::replace(&mut self.waiting, true);
        let Some(idle) = self.idle else { return Poll::Pending };
        if !started {
            self.timer.as_mut().reset(Instant::now() + idle);
        }
        self.timer.as_mut().poll(cx)
    }

    fn fail(&mut self, fault: Fault) -> Fault {
        *self.fault.get_or_insert(fault)
    }
}

/// The body as one attempt sends it.
#[derive(Debug)]
pub struct Attempt {
    upload: Upload,
    number: u64,
    next: usize,
    trailed: bool,
}

impl Body for Attempt {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let upload = self.upload.clone();
        let mut state = upload.state();
        if state.attempt != self.number {
            return Poll::Ready(Some(Err(Fault::Superseded)));
        }
        if let Some(data) = state.kept.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        match ready!(state.pull(cx, REPLAY)) {
            Ok(Some(data)) => {
                self.next = state.kept.len();
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Ok(None) if self.trailed => Poll::Ready(None),
            Ok(None) => {
                self.trailed = true;
                Poll::Ready(state.trailers.clone().map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Err(fault) => Poll::Ready(Some(Err(fault))),
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.upload.state();
        state.ended && (self.trailed || state.trailers.is_none()) && self.next >= state.kept.len()
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.upload.state();
        if self.next == 0 && state.total == 0 { state.incoming.size_hint() } else { SizeHint::default() }
    }
}
