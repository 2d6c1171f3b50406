//! Large files in ranges: several are under way at a time, for one connection to a store seldom fills the line.

use bytes::Bytes;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use std::ops::Range;

/// Bytes of a file as they come, in order.
pub type Parts = BoxStream<'static, Result<Bytes, String>>;

/// Bytes of one range.
const RANGE: u64 = 8 << 20;
/// Ranges under way at a time; each is held in memory until those before it are written.
const AT_ONCE: usize = 4;

/// Whether so many bytes are worth the further requests.
#[must_use]
pub fn are_many(bytes: u64) -> bool {
    bytes > RANGE * AT_ONCE as u64
}

/// The bytes of a file from `from` to `size`, each range by a call of `get`.
pub fn ranges<G, F>(from: u64, size: u64, get: G) -> Parts
where
    G: Fn(Range<u64>) -> F + Send + 'static,
    F: Future<Output = Result<Bytes, String>> + Send + 'static,
{
    let parts = split(from, size, RANGE).map(move |range| {
        let (asked, part) = (range.end - range.start, get(range));
        async move {
            let part = part.await?;
            let whole = part.len() as u64 == asked;
            if whole { Ok(part) } else { Err(format!("a range has {} bytes instead of {asked}", part.len())) }
        }
    });
    stream::iter(parts).buffered(AT_ONCE).boxed()
}

fn split(from: u64, size: u64, range: u64) -> impl Iterator<Item = Range<u64>> + Send {
    let starts = std::iter::successors(Some(from), move |start| start.checked_add(range));
    starts.take_while(move |start| *start < size).map(move |start| start..size.min(start.saturating_add(range)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use tokio::sync::Notify;

    #[test]
    fn ranges_cover_the_rest_of_a_file_once() {
        let all = |from, size| split(from, size, 10).collect::<Vec<_>>();
        assert_eq!(all(0, 25), [0..10, 10..20, 20..25]);
        assert_eq!(all(20, 20), [] as [Range<u64>; 0]);
        assert_eq!(all(u64::MAX - 11, u64::MAX), [u64::MAX - 11..u64::MAX - 1, u64::MAX - 1..u64::MAX]);
    }

    #[tokio::test]
    async fn several_are_under_way_and_come_in_order() {
        let (begun, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let parts = ranges(0, RANGE * AT_ONCE as u64, move |range| {
            let (begun, all) = (Arc::clone(&begun), Arc::clone(&all));
            async move {
                // None ends before all have begun.
                if begun.fetch_add(1, Ordering::SeqCst) + 1 == AT_ONCE {
                    all.notify_waiters();
                } else {
                    all.notified().await;
                }
                Ok(Bytes::from(vec![(range.start / RANGE) as u8; RANGE as usize]))
            }
        });
        let firsts: Vec<u8> = parts.map(|part| part.unwrap()[0]).collect().await;
        assert_eq!(firsts, [0, 1, 2, 3]);
    }

    #[tokio::test]
    async fn a_short_range_is_an_error() {
        let mut parts = ranges(0, 10, |_| async { Ok(Bytes::from_static(b"123")) });
        assert_eq!(parts.next().await.unwrap(), Err("a range has 3 bytes instead of 10".to_owned()));
    }
}
