//! Keys and their keyed hashes.

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::Path;
use subtle::ConstantTimeEq;

const PREFIX: &str = "hmac-sha256:";
/// Fewer bytes aren't a secret.
const SHORTEST_PEPPER: usize = 16;

/// HMAC-SHA-256 of a key under the pepper. Equality takes constant time.
#[derive(Clone, Copy)]
pub struct HashedKey([u8; 32]);

impl HashedKey {
    /// Reads `hmac-sha256:` and 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() == 64 && digits.is_ascii())?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl PartialEq for HashedKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for HashedKey {}

impl Hash for HashedKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for HashedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for HashedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashedKey")
    }
}

/// The server-side secret under which keys are hashed.
pub struct Pepper(Hmac<Sha256>);

impl Pepper {
    /// Takes the secret's bytes.
    ///
    /// # Errors
    /// If there are too few to be a secret.
    pub fn new(mut bytes: Vec<u8>) -> anyhow::Result<Self> {
        // A newline at a file's end is an editor's, never part of the secret: two programs must read the same pepper.
        while bytes.last().is_some_and(u8::is_ascii_whitespace) {
            bytes.pop();
        }
        ensure!(bytes.len() >= SHORTEST_PEPPER, "the pepper must have at least {SHORTEST_PEPPER} bytes");
        Ok(Self(Hmac::new_from_slice(&bytes).context("the pepper can't be a key")?))
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// If the file can't be read or is too short.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("read the pepper file {}", path.display()))?;
        Self::new(bytes)
    }

    /// Hashes a key.
    #[must_use]
    pub fn hash(&self, key: &[u8]) -> HashedKey {
        HashedKey(self.0.clone().chain_update(key).finalize().into_bytes().into())
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper")
    }
}

/// Makes a key of 256 random bits: `mr_` and 43 characters that need no escaping anywhere.
///
/// # Errors
/// If the system has no randomness.
pub fn new_key() -> anyhow::Result<String> {
    let mut bits = [0; 32];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut bits).map_err(|_| anyhow::anyhow!("the system gave no random bytes"))?;
    Ok(format!("mr_{}", URL_SAFE_NO_PAD.encode(bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_hmac_sha256() {
        // The first and the sixth case of RFC 4231.
        let pepper = Pepper::new(vec![0x0b; 20]).unwrap();
        let hash = pepper.hash(b"Hi There").to_string();
        assert_eq!(hash, "hmac-sha256:b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        let pepper = Pepper::new(vec![0xaa; 131]).unwrap();
        let hash = pepper.hash(b"Test Using Larger Than Block-Size Key - Hash Key First").to_string();
        assert_eq!(hash, "hmac-sha256:60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
        assert_eq!(HashedKey::parse(&hash).unwrap().to_string(), hash);
    }

    #[test]
    fn keys_are_new_and_need_no_escaping() {
        let (one, two) = (new_key().unwrap(), new_key().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 46);
        assert!(one.starts_with("mr_") && one.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
    }

    #[test]
    fn trailing_newline_is_no_part_of_the_pepper() {
        let hash = |bytes: &[u8]| Pepper::new(bytes.to_vec()).unwrap().hash(b"k").to_string();
        assert_eq!(hash(b"0123456789abcdef"), hash(b"0123456789abcdef\n"));
        assert!(Pepper::new(b"short\n".to_vec()).is_err());
    }

    #[test]
    fn unreadable_hashes() {
        for text in [
            "",
            "hmac-sha256:",
            "sha256:00",
            &format!("hmac-sha256:{}", "g".repeat(64)),
            &format!("hmac-sha256:{}", "é".repeat(32)),
        ] {
            assert!(HashedKey::parse(text).is_none(), "{text}");
        }
    }
}
