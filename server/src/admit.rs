//! Permits: a request is let in, or told at once that it isn't. Bounded in requests and in bytes.

use crate::error::{Error, Kind};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Bits of the door's word that count bytes. Those above them count requests.
const BYTES: u32 = 44;
/// One request, in the door's word.
const ONE: u64 = 1 << BYTES;

/// The door.
#[derive(Debug)]
pub struct Admission {
    requests: u64,
    bytes: u64,
    /// Requests inside and the bytes that they hold, in one word: who comes and goes writes it once.
    inside: AtomicU64,
    closed: AtomicBool,
}

/// Leave to be inside; given back when dropped.
#[derive(Debug)]
pub struct Permit(Held);

/// What a request that is inside counts for; given back when dropped.
#[derive(Debug)]
pub struct Held {
    door: Arc<Admission>,
    counted: u64,
}

impl Admission {
    /// A door for so many requests, which together hold so many bytes: half a million and 8 TiB at most.
    #[must_use]
    pub fn new(requests: u64, bytes: u64) -> Arc<Self> {
        let (requests, bytes) = (requests.min(u64::MAX >> (BYTES + 1)), bytes.min(ONE / 2));
        Arc::new(Self { requests, bytes, inside: AtomicU64::new(0), closed: AtomicBool::new(false) })
    }

    /// Requests inside.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.inside.load(Ordering::SeqCst) >> BYTES
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
        let mut held = self.empty();
        // Counted before the door is looked at, so that a drain that closes it sees everyone who passed.
        let before = held.count(ONE);
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::refused(Kind::Unavailable, "the server is draining"));
        }
        if before >> BYTES >= self.requests {
            return Err(Error::refused(Kind::Exhausted, "the queue is full"));
        }
        Ok(Permit(held))
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
        Held { door: Arc::clone(self), counted: 0 }
    }
}

impl Permit {
    /// Takes more bytes in.
    ///
    /// # Errors
    /// 429: other requests hold too many already.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Error> {
        self.0.more(bytes)
    }
}

impl Held {
    /// Gives what was counted before.
    fn count(&mut self, more: u64) -> u64 {
        self.counted += more;
        self.door.inside.fetch_add(more, Ordering::SeqCst)
    }

    fn more(&mut self, bytes: usize) -> Result<(), Error> {
        // More than the door has room for is as bad as any number, and must not run over into the requests.
        let bytes = (bytes as u64).min(self.door.bytes + 1);
        let held = self.count(bytes) & (ONE - 1);
        if held + bytes > self.door.bytes {
            self.counted -= bytes;
            self.door.inside.fetch_sub(bytes, Ordering::SeqCst);
            return Err(Error::refused(Kind::Exhausted, "the requests in the queue are too large together"));
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.door.inside.fetch_sub(self.counted, Ordering::SeqCst);
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
        assert!(second.hold(usize::MAX).is_err());
        assert_eq!(door.in_flight(), 2, "bytes don't run over into the requests");
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
