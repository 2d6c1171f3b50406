//! ONNX Runtime's shared library, taken out of the wheel that its makers publish.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{Cache, Done, repository};

use super::{Python, wheels};

/// What the makers ask to go with the library.
pub const NOTICES: [&str; 2] = ["LICENSE", "ThirdPartyNotices.txt"];

/// The library at the version that `tests/testbed/ort/requirements.txt` pins.
#[derive(Debug)]
pub struct Ort {
    lock: PathBuf,
    version: String,
    /// The library's path, with its version at the end.
    pub library: PathBuf,
}

impl Ort {
    /// Reads the pin.
    ///
    /// # Errors
    /// When the file can't be read or pins nothing.
    pub fn of(cache: &Cache) -> Result<Self> {
        let lock = repository().join("tests/testbed/ort/requirements.txt");
        let text = std::fs::read_to_string(&lock).with_context(|| lock.display().to_string())?;
        let version = pinned(&text).with_context(|| format!("{} pins no onnxruntime", lock.display()))?.to_owned();
        let library = cache.join(format!("ort/{version}/libonnxruntime.so.{version}"));
        Ok(Self { lock, version, library })
    }

    /// For the step list.
    #[must_use]
    pub fn title(&self) -> String {
        format!("ONNX Runtime {}", self.version)
    }

    /// Downloads the wheel and takes the library out, unless it is there.
    ///
    /// # Errors
    /// When the download fails or has another digest.
    pub fn ensure(&self, cache: &Cache, python: &Python) -> Result<Done> {
        if self.library.is_file() {
            return Ok(Done::Cached);
        }
        let folder = cache.join("ort/partial");
        wheels::unpack(python, &self.lock, &folder)?;
        let name = self.library.file_name().context("the library has a name")?;
        let target = self.library.parent().context("the library has a folder")?;
        std::fs::create_dir_all(target)?;
        for notice in NOTICES {
            std::fs::copy(folder.join("onnxruntime").join(notice), target.join(notice)).context(notice)?;
        }
        std::fs::rename(folder.join("onnxruntime/capi").join(name), &self.library)
            .with_context(|| format!("the wheel has no onnxruntime/capi/{}", name.display()))?;
        std::fs::remove_dir_all(&folder)?;
        Ok(Done::Made)
    }
}

fn pinned(requirements: &str) -> Option<&str> {
    requirements.lines().find_map(|line| line.strip_prefix("onnxruntime==")?.split_whitespace().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_is_read() {
        assert_eq!(pinned("# why\nonnxruntime==1.31.1 \\\n    --hash=sha256:00\n"), Some("1.31.1"));
        assert_eq!(pinned("numpy==2.0.0\n"), None);
    }
}
