//! Compressed bodies, both ways. What a request decodes to is capped before it is held.

use crate::{
    admit::Permit,
    error::{Error, Kind},
};
use async_compression::tokio::{bufread, write};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

/// Smaller answers aren't worth it.
const WORTH: usize = 1024;

/// Decodes a request's body.
///
/// # Errors
/// 400 for an unknown or broken encoding, 413 over `max`, 429 if others hold too much.
pub async fn decode(headers: &HeaderMap, body: Bytes, max: usize, permit: &mut Permit) -> Result<Bytes, Error> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) else { return Ok(body) };
    let decoded = match encoding {
        b"identity" | b"" => return Ok(body),
        // Allocated when they are needed: their state is large, and most bodies come as they are.
        b"gzip" => Box::pin(unpack(bufread::GzipDecoder::new(&body[..]), max)).await,
        b"deflate" => Box::pin(unpack(bufread::ZlibDecoder::new(&body[..]), max)).await,
        b"zstd" => Box::pin(unpack(bufread::ZstdDecoder::new(&body[..]), max)).await,
        _ => return Err(Error::invalid("this content-encoding isn't known; gzip, deflate and zstd are")),
    }?;
    permit.hold(decoded.len())?;
    Ok(decoded.into())
}

async fn unpack(reader: impl AsyncRead + Unpin, max: usize) -> Result<Vec<u8>, Error> {
    let mut decoded = Vec::new();
    // One byte more than allowed tells too large from just right.
    reader
        .take(max as u64 + 1)
        .read_to_end(&mut decoded)
        .await
        .map_err(|_| Error::invalid("the compressed body can't be decoded"))?;
    if decoded.len() > max {
        return Err(Error::new(
            Kind::TooLarge,
            format!("the body decodes to more than the {max} bytes of access.maxRequestBytes"),
        ));
    }
    Ok(decoded)
}

/// Encodes an answer as the caller accepts; `None`: as it is.
pub async fn encode(accept: Option<&HeaderValue>, body: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    if body.len() < WORTH {
        return None;
    }
    let accepted = |name: &str| {
        accept.and_then(|value| value.to_str().ok()).is_some_and(|value| {
            value.split(',').any(|part| {
                let mut parts = part.split(';').map(str::trim);
                parts.next() == Some(name) && !parts.any(|quality| quality == "q=0")
            })
        })
    };
    macro_rules! pack {
        ($encoder:ident) => {{
            let packed = Box::pin(async {
                let mut encoder = write::$encoder::new(Vec::new());
                encoder.write_all(body).await?;
                encoder.shutdown().await?;
                std::io::Result::Ok(encoder.into_inner())
            });
            packed.await.ok()?
        }};
    }
    // gzip first: some clients (tritonclient over asyncio) name all that a library below them knows, and read gzip and
    // deflate alone.
    if accepted("gzip") {
        Some(("gzip", pack!(GzipEncoder)))
    } else if accepted("zstd") {
        Some(("zstd", pack!(ZstdEncoder)))
    } else if accepted("deflate") {
        Some(("deflate", pack!(ZlibEncoder)))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::Admission;

    #[tokio::test]
    async fn there_and_back_and_bombs() {
        let text = vec![7u8; 100_000];
        for name in ["gzip", "deflate", "zstd"] {
            let value = HeaderValue::from_static(name);
            let (used, packed) = encode(Some(&value), &text).await.unwrap();
            assert_eq!(used, name);
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, value);
            let mut permit = Admission::new(1, 1 << 20).admit().unwrap();
            let body = Bytes::from(packed);
            assert_eq!(decode(&headers, body.clone(), 100_000, &mut permit).await.unwrap(), text);
            assert_eq!(decode(&headers, body, 99_999, &mut permit).await.unwrap_err().kind, Kind::TooLarge);
            assert_eq!(decode(&headers, "x".into(), 10, &mut permit).await.unwrap_err().kind, Kind::Invalid);
        }
        assert!(encode(Some(&HeaderValue::from_static("gzip;q=0")), &text).await.is_none());
        let several = HeaderValue::from_static("zstd, deflate, gzip, br");
        assert_eq!(encode(Some(&several), &text).await.unwrap().0, "gzip");
    }
}
