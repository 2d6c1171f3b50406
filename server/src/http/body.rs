//! Reading a body: as large as the service allows, as fast as it must come, and what it holds counted as it comes.

use crate::{
    admit::Permit,
    error::{Error, Kind},
};
use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use std::time::{Duration, Instant};

/// Time that any body has; and the least rate beyond it.
const GRACE: Duration = Duration::from_secs(10);
const BYTES_PER_SECOND: u64 = 64 << 10;
/// Bytes that a buffer has room for at most because somebody said that they will come.
const ROOM: usize = 1 << 20;

/// Collects a body. The buffer grows with what really came: a chunk costs its bytes and nothing more. A body of one chunk is
/// that chunk. `whole` tells from the first one how many bytes are to come in all, if it does: the buffer has room for them.
///
/// # Errors
/// 413 over `max`; 408 below the least rate; 429 if other requests hold too much; 400 if it breaks off.
pub async fn read<B>(
    mut body: B,
    max: usize,
    permit: &mut Permit,
    whole: impl Fn(&[u8]) -> Option<usize>,
) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let too_large =
        || Error::new(Kind::TooLarge, format!("the body is larger than the {max} bytes of access.maxRequestBytes"));
    let announced = body.size_hint().lower();
    if announced > max as u64 {
        return Err(too_large());
    }
    let begun = Instant::now();
    let mut collected = BytesMut::new();
    loop {
        let allowed = GRACE + Duration::from_secs(collected.len() as u64 / BYTES_PER_SECOND);
        let frame = tokio::time::timeout_at((begun + allowed).into(), body.frame())
            .await
            .map_err(|_| Error::new(Kind::Slow, "the body comes too slowly"))?;
        let Some(frame) = frame else { return Ok(collected.freeze()) };
        let frame = frame.map_err(|_| Error::invalid("the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if collected.len() + data.len() > max {
            return Err(too_large());
        }
        permit.hold(data.len())?;
        if collected.is_empty() {
            if body.is_end_stream() {
                return Ok(data);
            }
            let announced = whole(&data).or(usize::try_from(announced).ok()).unwrap_or(0);
            collected.reserve(announced.min(ROOM).max(data.len()));
        }
        collected.extend_from_slice(&data);
        if body.is_end_stream() {
            return Ok(collected.freeze());
        }
    }
}

/// Most of an unread body that [`discard`] reads, in bytes, and the longest that it takes.
const COURTESY: (usize, Duration) = (16 << 20, Duration::from_secs(2));

/// Reads what is left of a body, within bounds, and forgets it.
pub async fn discard<B>(mut body: B)
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return;
    }
    let mut left = COURTESY.0;
    let read = async {
        while !body.is_end_stream() {
            let Some(Ok(frame)) = body.frame().await else { return };
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
            left = rest;
        }
    };
    // Out of time: the sender was slow, and its stream is reset.
    let _ = tokio::time::timeout(COURTESY.1, read).await;
}
