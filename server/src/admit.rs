//! Permits: a request is let in, or told at once that it isn't. Bounded in requests and in bytes.

use crate::error::{Error, Kind};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// The door.
#[derive(Debug)]
pub struct Admission {
    requests: u64,
    bytes: u64,
    in_flight: AtomicU64,
    held: AtomicU64,
    closed: AtomicBool,
}

/// Leave to be inside; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    door: Arc<Admission>,
    held: Held,
}

/// Bytes of a request that is inside, counted for as long as they live: given back when dropped.
#[derive(Debug)]
pub struct Held {
    door: Arc<Admission>,
    bytes: u64,
}

impl Admission {
    /// A door for so many requests, which together hold so many bytes.
    #[must_use]
    pub fn new(requests: u64, bytes: u64) -> Arc<Self> {
        let zero = || AtomicU64::new(0);
        Arc::new(Self { requests, bytes, in_flight: zero(), held: zero(), closed: AtomicBool::new(false) })
    }

    /// Requests inside.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Lets nobody in any more.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// 503 when draining, 429 when full: both before anything was begun.
    pub fn admit(self: &Arc<Self>) -> Result<Permit, Error> {
        let permit = Permit { door: Arc::clone(self), held: self.empty() };
        // Counted before the door is looked at, so that a drain that closes it sees everyone who passed.
        let before = self.in_flight.fetch_add(1, Ordering::SeqCst);
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::refused(Kind::Unavailable, "the server is draining"));
        }
        if before >= self.requests {
            return Err(Error::refused(Kind::Exhausted, "the queue is full"));
        }
        Ok(permit)
    }

    /// Counts bytes that a request grew by after it was let in.
    ///
    /// # Errors
    /// 429: requests hold too many already.
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Result<Held, Error> {
        let mut held = self.empty();
        // Something of the request was done already: nobody else may be told that nothing was.
        held.more(bytes).map_err(|error| Error { not_admitted: false, ..error })?;
        Ok(held)
    }

    fn empty(self: &Arc<Self>) -> Held {
        Held { door: Arc::clone(self), bytes: 0 }
    }
}

impl Permit {
    /// Takes more bytes in.
    ///
    /// # Errors
    /// 429: other requests hold too many already.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Error> {
        self.held.more(bytes)
    }
}

impl Held {
    fn more(&mut self, bytes: usize) -> Result<(), Error> {
        let bytes = bytes as u64;
        let before = self.door.held.fetch_add(bytes, Ordering::SeqCst);
        self.bytes += bytes;
        if before + bytes > self.door.bytes {
            return Err(Error::refused(Kind::Exhausted, "the requests in the queue are too large together"));
        }
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.door.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.door.held.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_in_requests_and_bytes() {
        let door = Admission::new(2, 10);
        let (first, mut second) = (door.admit().unwrap(), door.admit().unwrap());
        let full = door.admit().unwrap_err();
        assert!(full.not_admitted && full.kind == Kind::Exhausted);
        assert_eq!(door.in_flight(), 2, "a refusal leaves no trace");
        second.hold(10).unwrap();
        assert!(second.hold(1).is_err());
        drop((first, second));
        let grown = door.hold(10).unwrap();
        let refused = door.hold(1).unwrap_err();
        assert!(refused.kind == Kind::Exhausted && !refused.not_admitted, "it may not be sent elsewhere");
        drop(grown);
        door.admit().unwrap().hold(10).unwrap();
        door.close();
        assert_eq!(door.admit().unwrap_err().kind, Kind::Unavailable);
        assert_eq!(door.in_flight(), 0);
    }
}
