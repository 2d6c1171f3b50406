//! The answer's body on its way to the client: it ends at the deadline, and what the request held is freed when it ends,
//! however it does. Dropping it unfinished resets the stream to the server.

use crate::admit::Admitted;
use crate::body::Fault;
use crate::forward::Sent;
use crate::respond::{Protocol, Refusal, grpc_trailers};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, Sleep};

/// A server's answer.
#[derive(Debug)]
pub struct Tracked {
    /// `None` once it has ended.
    open: Option<Open>,
    deadline: Pin<Box<Sleep>>,
    protocol: Protocol,
}

#[derive(Debug)]
struct Open {
    incoming: Incoming,
    sent: Sent,
    admitted: Admitted,
}

impl Tracked {
    /// Follows an answer until its end.
    #[must_use]
    pub fn new(incoming: Incoming, sent: Sent, admitted: Admitted, deadline: Instant, protocol: Protocol) -> Self {
        let deadline = Box::pin(tokio::time::sleep_until(deadline));
        let mut tracked = Self { open: Some(Open { incoming, sent, admitted }), deadline, protocol };
        // A body without bytes may never be polled: what it holds is freed now.
        if tracked.open.as_ref().is_some_and(|open| open.incoming.is_end_stream()) {
            tracked.open = None;
        }
        tracked
    }

    /// Ends a body that the server or the clock broke off: with a status where the protocol has a place for one.
    fn break_off(&mut self, fault: Fault) -> Option<Result<Frame<Bytes>, Fault>> {
        if let Some(mut open) = self.open.take() {
            open.admitted.failed = true;
            open.sent.failed = true;
        }
        let refusal = if fault == Fault::Deadline { Refusal::Deadline } else { Refusal::Broken };
        Some(match self.protocol {
            Protocol::Http => Err(fault),
            Protocol::Grpc => Ok(Frame::trailers(grpc_trailers(refusal.code(), &refusal.to_string()))),
        })
    }
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let this = &mut *self;
        let Some(open) = &mut this.open else { return Poll::Ready(None) };
        match Pin::new(&mut open.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    let failed = crate::forward::grpc_failed(trailers);
                    open.admitted.failed |= failed;
                    open.sent.failed |= failed;
                }
                if frame.is_trailers() || open.incoming.is_end_stream() {
                    this.open = None;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(%error, "a server broke off its answer");
                Poll::Ready(this.break_off(Fault::Server))
            }
            Poll::Ready(None) => {
                this.open = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(this.deadline.as_mut().poll(cx));
                Poll::Ready(this.break_off(Fault::Deadline))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.open.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.open.as_ref().map_or_else(|| SizeHint::with_exact(0), |open| open.incoming.size_hint())
    }
}
