//! How a history is written down: base64 of a version byte, the times, and the three tiers.

use crate::history::{COARSES, FINES, History, MIDDLES};
use crate::packed::Packed;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Another layout gets another number: a history that can't be read is none.
const LAYOUT: u8 = 1;
const HEAD: usize = 1 + 4 * 8;
const LENGTH: usize = HEAD + 4 * FINES as usize + 2 * (MIDDLES + COARSES) as usize;
/// A history of a service takes no more: a bound that is promised.
const _: () = assert!(LENGTH <= 4_096);

impl History {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(LAYOUT);
        bytes.extend(self.head.to_le_bytes());
        bytes.extend(self.open.to_le_bytes());
        bytes.extend(self.since.to_le_bytes());
        bytes.extend(self.until.to_le_bytes());
        bytes.extend(self.fine.iter().flat_map(|amount| amount.to_le_bytes()));
        bytes.extend(self.middle.iter().chain(&self.coarse).flat_map(|packed| packed.to_bytes()));
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != LENGTH || bytes[0] != LAYOUT {
            return None;
        }
        let (words, _) = bytes[1..HEAD].as_chunks::<8>();
        let (fine, packed) = bytes[HEAD..].split_at(4 * FINES as usize);
        let fine = fine.as_chunks::<4>().0.iter().map(|amount| f32::from_le_bytes(*amount)).collect();
        let packed: Vec<Packed> = packed.as_chunks::<2>().0.iter().map(|pair| Packed::from_bytes(*pair)).collect();
        let (middle, coarse) = packed.split_at(MIDDLES as usize);
        let history = Self {
            fine,
            middle: middle.into(),
            coarse: coarse.into(),
            head: i64::from_le_bytes(words[0]),
            open: i64::from_le_bytes(words[1]),
            since: f64::from_le_bytes(words[2]),
            until: f64::from_le_bytes(words[3]),
        };
        history.is_sound().then_some(history)
    }

    /// Bins that nobody could have counted would be taken for load.
    fn is_sound(&self) -> bool {
        let amounts = self.fine.iter().all(|amount| amount.is_nan() || (amount.is_finite() && *amount >= 0.0));
        let span = i64::MAX / 1_000;
        amounts && self.since.is_finite() && self.until.is_finite() && self.head.abs() < span && self.open.abs() < span
    }
}

impl Serialize for History {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(self.to_bytes()))
    }
}

impl<'de> Deserialize<'de> for History {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text).map_err(D::Error::custom)?;
        Self::from_bytes(&bytes).ok_or_else(|| D::Error::custom("a history of another layout"))
    }
}
