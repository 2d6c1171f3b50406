//! The files of a model: one, or several in a folder, each with its digest.

use super::verify;
use crate::error::StartError;
use millrace_crds::{ModelFile, conditions::reason};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// Largest file that a pipeline step reads, such as a tokenizer or labels.
const MAX_STEP_FILE: u64 = 64 << 20;

/// Verified files beside the model, by the names that the manifest gives them.
#[derive(Clone, Debug, Default)]
pub struct Files {
    folder: PathBuf,
    files: Vec<ModelFile>,
}

impl Files {
    /// Files of a manifest in a folder. Nothing is read yet.
    ///
    /// # Errors
    /// `Invalid`: a path that leaves the folder or isn't plain, or one that is named twice.
    pub fn new(folder: PathBuf, files: &[ModelFile]) -> Result<Self, StartError> {
        for (at, file) in files.iter().enumerate() {
            let path = file.path.as_str();
            if !plain(path) {
                return Err(StartError::new(
                    reason::INVALID,
                    format!(
                        "model.files: {path:?} is no plain path below the model's folder: use letters, digits and . _ - + = @ between single slashes"
                    ),
                ));
            }
            if files[..at].iter().any(|earlier| earlier.path == file.path) {
                return Err(StartError::new(reason::INVALID, format!("model.files: {path} is named twice")));
            }
        }
        Ok(Self { folder, files: files.to_vec() })
    }

    /// The names, the model's own first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.path.as_str())
    }

    /// Where a file lies; `None`: the manifest doesn't name it.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.files.iter().find(|file| file.path.as_str() == name).map(|_| self.folder.join(name))
    }

    /// What a step of the pipeline reads: the bytes whose digest was checked, for it is checked on these very bytes.
    ///
    /// # Errors
    /// A sentence: the file isn't among `model.files`, is too large, or has changed.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let file = self.files.iter().find(|file| file.path.as_str() == name).ok_or_else(|| {
            if self.files.is_empty() {
                format!("the file {name} isn't there: the model is a single file; give model.files, {name} among them")
            } else {
                format!("the file {name} isn't among model.files: {}", self.names().collect::<Vec<_>>().join(", "))
            }
        })?;
        let path = self.folder.join(name);
        let unreadable = |_| format!("the file {name} can't be read");
        if std::fs::metadata(&path).map_err(unreadable)?.len() > MAX_STEP_FILE {
            return Err(format!("the file {name} is larger than {MAX_STEP_FILE} bytes"));
        }
        let bytes = std::fs::read(&path).map_err(unreadable)?;
        if verify::hex(&Sha256::digest(&bytes)) != file.sha256.as_str() {
            return Err(format!("the file {name} isn't any more what it was when its digest was checked"));
        }
        Ok(bytes)
    }

    /// One digest for all: of names and digests, in the manifest's order.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for file in &self.files {
            hasher.update(file.path.as_str());
            hasher.update(b"\0");
            hasher.update(file.sha256.as_str());
            hasher.update(b"\n");
        }
        verify::hex(&hasher.finalize())
    }
}

/// Whether a path is made of plain names: never absolute, never upwards, never two spellings of one place.
#[must_use]
pub fn plain(path: &str) -> bool {
    let name = |part: &str| {
        !part.is_empty()
            && !part.bytes().all(|byte| byte == b'.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+=@".contains(&byte))
    };
    path.len() <= 253 && path.split('/').all(name)
}

/// Refuses links and specials on the way from a mounted folder to a file of it: they could lead anywhere.
///
/// # Errors
/// `MissingReference`: no such file. `Invalid`: a link or a special.
pub fn check_beneath(folder: &Path, name: &str) -> Result<PathBuf, StartError> {
    let mut path = folder.to_owned();
    for part in name.split('/') {
        path.push(part);
        let data = std::fs::symlink_metadata(&path).map_err(|_| {
            StartError::new(reason::FETCH_FAILED, format!("the model's folder has no readable file {name}"))
        })?;
        if !data.is_file() && !data.is_dir() {
            return Err(StartError::new(
                reason::INVALID,
                format!("{name} is reached through a link or is no plain file: put the file itself into the folder"),
            ));
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &[u8]) -> ModelFile {
        ModelFile { path: path.into(), sha256: verify::hex(&Sha256::digest(content)).into() }
    }

    #[test]
    fn plain_paths() {
        for (path, expected) in [
            ("model.onnx", true),
            ("onnx/model.onnx_data", true),
            (".gitattributes", true),
            ("../model.onnx", false),
            ("a/../b", false),
            ("a/./b", false),
            ("/etc/passwd", false),
            ("a//b", false),
            ("a/", false),
            ("", false),
            ("...", false),
            ("a\\b", false),
            ("a?x=1", false),
            ("a%2e", false),
            ("a b", false),
        ] {
            assert_eq!(plain(path), expected, "{path:?}");
            assert_eq!(Files::new(PathBuf::new(), &[file(path, b"")]).is_ok(), expected, "{path:?}");
        }
        let twice = Files::new(PathBuf::new(), &[file("a", b""), file("a", b"")]).unwrap_err();
        assert!(twice.message.contains("twice"), "{twice}");
    }

    #[test]
    fn what_is_read_is_what_was_pinned() {
        let folder = tempfile::tempdir().unwrap();
        let files =
            Files::new(folder.path().to_owned(), &[file("m", b"model"), file("labels.txt", b"a\nb\n")]).unwrap();
        std::fs::write(folder.path().join("labels.txt"), b"a\nb\n").unwrap();
        assert_eq!(files.read("labels.txt").unwrap(), b"a\nb\n");
        assert!(files.read("other").unwrap_err().contains("among model.files: m, labels.txt"));
        std::fs::write(folder.path().join("labels.txt"), b"a\nc\n").unwrap();
        assert!(files.read("labels.txt").unwrap_err().contains("isn't any more"));
        assert!(Files::default().read("labels.txt").unwrap_err().contains("give model.files"));
    }

    #[test]
    fn links_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("real")).unwrap();
        std::fs::write(folder.path().join("real/m"), b"x").unwrap();
        std::os::unix::fs::symlink("real", folder.path().join("linked")).unwrap();
        std::os::unix::fs::symlink("real/m", folder.path().join("m")).unwrap();
        assert!(check_beneath(folder.path(), "real/m").is_ok());
        for name in ["linked/m", "m"] {
            assert_eq!(check_beneath(folder.path(), name).unwrap_err().reason, reason::INVALID, "{name}");
        }
        assert_eq!(check_beneath(folder.path(), "none").unwrap_err().reason, reason::FETCH_FAILED);
    }
}
