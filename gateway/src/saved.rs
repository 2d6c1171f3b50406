//! The last good routes on disk: a gateway that starts while the API server is away serves what it served before.
//!
//! The identity is kept with them, for without it there is no way to a server; the file is its owner's alone, and belongs
//! in a memory-backed volume.

use crate::inputs::Inputs;
use crate::tls::Identity;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// What the table is made of.
    pub inputs: Inputs,
    /// Towards servers and operator.
    pub identity: Option<Identity>,
}

fn file(dir: &Path) -> PathBuf {
    dir.join("routes.json")
}

/// Reads it; `None` if there is none.
///
/// # Errors
/// If there is one that can't be read.
pub fn load(dir: &Path) -> anyhow::Result<Option<Saved>> {
    let path = file(dir);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// Writes it, whole or not at all.
///
/// # Errors
/// If the folder can't be written.
pub fn store(dir: &Path, saved: &Saved) -> anyhow::Result<()> {
    let fresh = dir.join("routes.json.new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut out = options.open(&fresh).with_context(|| format!("write {}", fresh.display()))?;
    out.write_all(&serde_json::to_vec(saved)?)?;
    out.sync_all()?;
    fs::rename(&fresh, file(dir)).with_context(|| format!("write {}", file(dir).display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn comes_back_as_it_was_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap(), None);
        let mut saved = Saved::default();
        saved.inputs.namespaces.insert("team-a".into(), [("tenant".to_owned(), "a".to_owned())].into());
        saved.identity = Some(Identity { cert: "c".into(), key: "k".into(), ca: "a".into() });
        store(dir.path(), &saved).unwrap();
        store(dir.path(), &saved).unwrap();
        assert_eq!(load(dir.path()).unwrap().unwrap(), saved);
        assert_eq!(fs::metadata(file(dir.path())).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(file(dir.path()), "{").unwrap();
        assert!(load(dir.path()).is_err());
    }
}
