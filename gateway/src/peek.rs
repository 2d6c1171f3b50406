//! The model's name in a gRPC request: field 1 of the first message, whichever the method.
//!
//! ModelInferRequest and ModelStreamInfer have `model_name = 1`; ModelReady, ModelMetadata, ModelConfig and ModelStatistics
//! have `name = 1`. Only so much of the message is read as is needed to find it.

/// What the bytes so far tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peek {
    /// More bytes are needed.
    More,
    /// The name; empty if the message has none.
    Name(String),
    /// No name can be had.
    Bad(&'static str),
}

/// Most bytes that are read to find the name.
pub const LIMIT: usize = 64 << 10;

/// Looks for the name in the start of a gRPC body.
#[must_use]
pub fn model_name(bytes: &[u8]) -> Peek {
    let Some((head, message)) = bytes.split_at_checked(5) else { return Peek::More };
    match head[0] {
        0 => {}
        1 => {
            return Peek::Bad(
                "a compressed message hides its model's name: call SERVICE.NAMESPACE.DOMAIN as authority",
            );
        }
        _ => return Peek::Bad("the body isn't gRPC"),
    }
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let Ok(length) = usize::try_from(length) else { return Peek::Bad("the message is too large") };
    let whole = message.len() >= length;
    let message = &message[..message.len().min(length)];
    match first_field(message) {
        Ok(Some(name)) => {
            std::str::from_utf8(name).map_or(Peek::Bad("the model's name isn't UTF-8"), |name| Peek::Name(name.into()))
        }
        Ok(None) if whole => Peek::Name(String::new()),
        Err(Stop::Short) if whole => Peek::Bad("the message is cut off"),
        Err(Stop::Malformed) => Peek::Bad("the message isn't protobuf"),
        Ok(None) | Err(Stop::Short) if bytes.len() >= LIMIT => {
            Peek::Bad("the model's name must stand first in the message")
        }
        Ok(None) | Err(Stop::Short) => Peek::More,
    }
}

enum Stop {
    Short,
    Malformed,
}

/// The first field 1. Encoders write fields by number, so it leads or is absent; others before it are skipped. A message
/// that names two models goes by the first, and the server that gets it knows no other name than its own.
fn first_field(mut rest: &[u8]) -> Result<Option<&[u8]>, Stop> {
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        match (tag >> 3, tag & 7) {
            (1, 2) => return bytes(&mut rest).map(Some),
            (0 | 1, _) => return Err(Stop::Malformed),
            (_, 0) => drop(varint(&mut rest)?),
            (_, 1) => drop(take(&mut rest, 8)?),
            (_, 2) => drop(bytes(&mut rest)?),
            (_, 5) => drop(take(&mut rest, 4)?),
            _ => return Err(Stop::Malformed),
        }
    }
    Ok(None)
}

fn varint(rest: &mut &[u8]) -> Result<u64, Stop> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(rest, 1)? else { return Err(Stop::Short) };
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Stop::Malformed)
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Stop> {
    let length = usize::try_from(varint(rest)?).map_err(|_| Stop::Malformed)?;
    take(rest, length)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], Stop> {
    let (head, tail) = rest.split_at_checked(count).ok_or(Stop::Short)?;
    *rest = tail;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A gRPC frame of a message of string fields.
    fn frame(fields: &[(u8, &[u8])]) -> Vec<u8> {
        let mut message = Vec::new();
        for (number, value) in fields {
            message.push(number << 3 | 2);
            let mut length = value.len();
            while length >= 0x80 {
                message.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            message.push(u8::try_from(length).unwrap());
            message.extend_from_slice(value);
        }
        let mut framed = vec![0];
        framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        framed.extend(message);
        framed
    }

    #[test]
    fn names() {
        let name = |text: &str| Peek::Name(text.into());
        assert_eq!(model_name(&frame(&[(1, b"magika")])), name("magika"));
        assert_eq!(model_name(&frame(&[(2, b"7"), (1, b"magika")])), name("magika"));
        assert_eq!(model_name(&frame(&[])), name(""));
        assert_eq!(model_name(&frame(&[(2, b"7")])), name(""));
        assert_eq!(model_name(b""), Peek::More);
        assert!(matches!(model_name(&[1, 0, 0, 0, 9]), Peek::Bad(_)));
        assert!(matches!(model_name(b"{\"a\":"), Peek::Bad(_)));
        assert!(matches!(model_name(&[0, 0, 0, 0, 2, 0x0a, 9]), Peek::Bad(_)), "length beyond the message");
        assert!(matches!(model_name(&[0, 0, 0, 0, 2, 0x08, 9]), Peek::Bad(_)), "field 1 as a number");
        assert!(matches!(model_name(&frame(&[(1, &[0xff])])), Peek::Bad(_)));
        let late = frame(&[(7, &vec![0; LIMIT]), (1, b"magika")]);
        assert!(matches!(model_name(&late[..LIMIT]), Peek::Bad(_)), "a name behind 64 KiB isn't looked for");
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = model_name(&bytes);
        }

        #[test]
        fn a_prefix_says_more_or_the_same(name in "[a-z]{1,40}", cut in 0usize..60) {
            let whole = frame(&[(1, name.as_bytes()), (5, b"tensor")]);
            let seen = model_name(&whole[..cut.min(whole.len())]);
            prop_assert!(seen == Peek::More || seen == Peek::Name(name), "{:?}", seen);
        }
    }
}
