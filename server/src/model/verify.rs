//! Digests, and what a model file may not contain.

use crate::error::StartError;
use millrace_crds::conditions::reason;
use sha2::{Digest as _, Sha256};
use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// A digest as manifests write it.
#[must_use]
pub fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 of a file.
///
/// # Errors
/// It can't be read, or is no plain file.
pub fn digest_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

/// Compares digests.
///
/// # Errors
/// `DigestMismatch`, with both.
pub fn compare(have: &str, wanted: Option<&str>) -> Result<(), StartError> {
    match wanted {
        Some(wanted) if wanted != have => Err(StartError::new(
            reason::DIGEST_MISMATCH,
            format!("the model's sha256 is {have}; the manifest wants {wanted}"),
        )),
        Some(_) => Ok(()),
        None => {
            tracing::warn!(digest = have, "the manifest pins no sha256");
            Ok(())
        }
    }
}

/// How often a model names a file for a tensor, by the bytes that protobuf usually writes for that, wherever they stand:
/// a check on what was found by walking the model.
///
/// # Errors
/// The file can't be read.
pub fn external_marks(path: &Path) -> io::Result<usize> {
    // TensorProto.external_data (field 13) holds an entry whose key (field 1) is "location".
    const MARK: &[u8] = b"\x0a\x08location\x12";
    let mut file = File::open(path)?;
    let mut window: Vec<u8> = Vec::with_capacity((64 << 10) + MARK.len());
    let mut buffer = vec![0; 64 << 10];
    let mut marks = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(marks);
        }
        window.extend_from_slice(&buffer[..read]);
        marks += window.windows(MARK.len()).filter(|part| *part == MARK).count();
        window.drain(..window.len().saturating_sub(MARK.len() - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_and_marks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        std::fs::write(&path, b"abc").unwrap();
        let digest = digest_of(&path).unwrap();
        assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(compare(&digest, Some(&digest)).is_ok() && compare(&digest, None).is_ok());
        assert_eq!(compare(&digest, Some("00")).unwrap_err().reason, reason::DIGEST_MISMATCH);
        assert_eq!(external_marks(&path).unwrap(), 0);
        let mut long = vec![b'x'; (64 << 10) - 4];
        long.extend_from_slice(b"\x0a\x08location\x12\x07../etc/");
        std::fs::write(&path, long).unwrap();
        assert_eq!(external_marks(&path).unwrap(), 1, "also over the edge of a block");
        assert!(digest_of(folder.path()).is_err());
    }
}
