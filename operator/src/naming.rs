//! Names of the objects of a service: deterministic, and at most 63 characters, for they are label values too.

use sha2::{Digest, Sha256};

/// Longest name of an object that pods are made from.
const LONGEST: usize = 63;
/// A Deployment's pods get `-HASH-SUFFIX`; their names needn't be labels, but host names are cut at 63.
const DIGEST: usize = 8;

/// The first `n` hexadecimal digits of a text's SHA-256.
#[must_use]
pub fn short_digest(text: &str, n: usize) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .take(n)
        .map(|nibble| char::from_digit(u32::from(nibble), 16).unwrap_or('0'))
        .collect()
}

/// ConfigMap and ControllerRevision of a revision.
#[must_use]
pub fn revision_object(service: &str, revision: &str) -> String {
    bounded(&format!("{service}-{revision}"))
}

/// Deployment of a revision on a pool.
#[must_use]
pub fn deployment(service: &str, revision: &str, pool: &str) -> String {
    bounded(&format!("{service}-{revision}-{pool}"))
}

/// What a release makes for a pool's standby servers; `part` tells its objects of one kind apart.
#[must_use]
pub fn standby(release: &str, pool: &str, part: &str) -> String {
    let dash = if part.is_empty() { "" } else { "-" };
    bounded(&format!("{release}-standby-{pool}{dash}{part}"))
}

/// A name that is too long keeps its head and ends in a digest of the whole, so that two never meet.
fn bounded(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let head: String = name.chars().take(LONGEST - DIGEST - 1).collect();
    format!("{}-{}", head.trim_end_matches(['-', '.']), short_digest(name, DIGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_fit(service in "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", revision in "[a-f0-9]{8}", pool in "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?") {
            let name = deployment(&service, &revision, &pool);
            prop_assert!(name.len() <= 63);
            prop_assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            prop_assert!(!name.ends_with('-') && !name.starts_with('-'));
            prop_assert!(revision_object(&service, &revision).len() <= 63);
        }

        #[test]
        fn different_pools_have_different_names(service in "[a-z]{40}", a in "[a-z]{30}", b in "[a-z]{30}") {
            prop_assume!(a != b);
            prop_assert_ne!(deployment(&service, "0123abcd", &a), deployment(&service, "0123abcd", &b));
        }
    }

    #[test]
    fn short_names_stay() {
        assert_eq!(deployment("magika", "3f9a0000", "l40s-onprem"), "magika-3f9a0000-l40s-onprem");
        assert_eq!(short_digest("", 8), "e3b0c442");
    }
}
