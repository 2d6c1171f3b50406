//! The timer of an HTTP/1 connection. The library sets one before each head, and takes it back when the head is there. Here
//! that costs a comparison: the runtime's timer below stays as it is, and is set anew only when it rings too early.

use hyper::rt::{Sleep, Timer};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

type Below = Option<Pin<Box<tokio::time::Sleep>>>;

/// The timer of one connection, for waits that end later the later they begin.
#[derive(Clone, Debug, Default)]
pub struct Alarm(Arc<Mutex<Below>>);

impl Timer for Alarm {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Wait { deadline, alarm: self.clone() })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }
}

/// One wait.
struct Wait {
    deadline: Instant,
    alarm: Alarm,
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut below = self.alarm.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let timer = below.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(self.deadline.into())));
            ready!(timer.as_mut().poll(cx));
            // It rang for this wait, or for one before it.
            *below = None;
            if self.alarm.now() >= self.deadline {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_wait_ends_when_it_should_whatever_was_before_it() {
        let (alarm, begun) = (Alarm::default(), tokio::time::Instant::now());
        let second = Duration::from_secs(1);
        let given_up = tokio::time::timeout(second, alarm.sleep(second * 30)).await;
        assert!(given_up.is_err());
        alarm.sleep(second * 30).await;
        assert_eq!(begun.elapsed().as_secs(), 31, "the first one would have ended a second before");
        alarm.sleep(second * 30).await;
        assert_eq!(begun.elapsed().as_secs(), 61);
    }
}
