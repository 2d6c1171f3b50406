//! The executor of an HTTP/2 connection. A call whose message is there and whose model is quick is done when it is first
//! polled: so it is polled at once, in the connection's own task, and only what is not done then becomes a task. Its answer
//! goes out with the same write as those of its neighbours, and no scheduler has heard of it.

use hyper::rt::Executor;
use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll, Waker},
};
use tokio::task::coop;

/// Runs what is quick at once, and the rest as tasks of the current runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prompt;

impl<F> Executor<F> for Prompt
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let mut future = Box::pin(future);
        // As a task it tells the waker that counts: the first poll of a task comes without any call.
        let mut nobody = Context::from_waker(Waker::noop());
        // Other connections have their turn too, however many calls this one brings.
        let turn = match coop::poll_proceed(&mut nobody) {
            Poll::Ready(turn) => turn,
            Poll::Pending => return drop(tokio::spawn(future)),
        };
        // A call that panics ends its own stream, as a task would, and not the connection.
        if let Ok(Poll::Pending) = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut nobody))) {
            return drop(tokio::spawn(future));
        }
        turn.made_progress();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        cell::Cell,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn what_is_quick_is_done_at_once_and_the_rest_when_it_can_be() {
        let done = Arc::new(AtomicUsize::new(0));
        let count = |done: &Arc<AtomicUsize>| done.fetch_add(1, Ordering::Relaxed);
        let quick = Arc::clone(&done);
        Prompt.execute(async move { count(&quick) });
        assert_eq!(done.load(Ordering::Relaxed), 1, "before anything was awaited");
        let (go, wait) = oneshot::channel::<()>();
        let (told, over) = oneshot::channel();
        Prompt.execute(async move { told.send(wait.await) });
        go.send(()).unwrap();
        over.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_call_that_panics_takes_no_other_with_it() {
        Prompt.execute(async { panic!("on purpose") });
        let (told, over) = oneshot::channel();
        Prompt.execute(async move { told.send(()) });
        over.await.unwrap();
    }

    /// Without this a caller with many streams would keep a thread to itself.
    #[tokio::test]
    async fn a_turn_ends() {
        thread_local!(static INLINE: Cell<usize> = const { Cell::new(0) });
        tokio::task::yield_now().await;
        for _ in 0..10_000 {
            Prompt.execute(async { INLINE.set(INLINE.get() + 1) });
        }
        assert!((1..1_000).contains(&INLINE.get()), "{}", INLINE.get());
    }
}
