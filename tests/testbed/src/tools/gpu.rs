//! ONNX Runtime with its GPU providers, and the libraries of NVIDIA that these load: what the GPU image adds.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{Cache, Done, exec, repository};

use super::{Python, wheels};

/// Libraries in the wheels that nothing here loads: drop-in replacements of BLAS and FFTW, and Python's own module.
const NOT_LOADED: [&str; 3] = ["libnvblas", "libcufftw", "onnxruntime_pybind11"];

/// The libraries that `tests/testbed/gpu/requirements.txt` pins, laid out as in the image.
#[derive(Debug)]
pub struct GpuLibraries {
    lock: PathBuf,
    folder: PathBuf,
}

impl GpuLibraries {
    /// Reads the pins.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn of(cache: &Cache) -> Result<Self> {
        let lock = repository().join("tests/testbed/gpu/requirements.txt");
        let text = fs::read(&lock).with_context(|| lock.display().to_string())?;
        let folder = cache.join(format!("gpu-{}", &exec::digest(&[&text])[..8]));
        Ok(Self { lock, folder })
    }

    /// The folder with ONNX Runtime and its providers: they are looked for beside it.
    #[must_use]
    pub fn ort(&self) -> PathBuf {
        self.folder.join("ort")
    }

    /// The folder with NVIDIA's libraries.
    #[must_use]
    pub fn nvidia(&self) -> PathBuf {
        self.folder.join("nvidia")
    }

    /// The folder with their licences.
    #[must_use]
    pub fn licences(&self) -> PathBuf {
        self.folder.join("licences")
    }

    /// Downloads and lays out, unless that was done. A gigabyte and a half is downloaded.
    ///
    /// # Errors
    /// When a download fails or has another digest.
    pub fn ensure(&self, python: &Python) -> Result<Done> {
        if self.folder.is_dir() {
            return Ok(Done::Cached);
        }
        let partial = self.folder.with_extension("partial");
        wheels::unpack(python, &self.lock, &partial)?;
        let laid = partial.join("laid");
        for part in ["ort", "nvidia", "licences"] {
            fs::create_dir_all(laid.join(part))?;
        }
        lay_out(&partial, &laid)?;
        fs::rename(&laid, &self.folder)?;
        fs::remove_dir_all(&partial)?;
        Ok(Done::Made)
    }
}

/// Moves what the image needs from unpacked wheels to `laid`.
fn lay_out(wheels: &Path, laid: &Path) -> Result<()> {
    let mut open = vec![wheels.to_path_buf()];
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(&folder)?.flatten().map(|entry| entry.path()).filter(|path| path != laid) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let place = folder.strip_prefix(wheels).unwrap_or(&folder).to_string_lossy().into_owned();
            let package = place.split(['-', '/']).next().unwrap_or_default();
            if path.is_dir() {
                open.push(path);
            } else if name.contains(".so") && !NOT_LOADED.iter().any(|start| name.starts_with(start)) {
                let part = if place.starts_with("onnxruntime") { "ort" } else { "nvidia" };
                fs::rename(&path, laid.join(part).join(&name))?;
            } else if place.contains("licenses")
                || ["LICENSE", "License.txt", "ThirdPartyNotices.txt"].contains(&&*name)
            {
                fs::rename(&path, laid.join("licences").join(format!("{package}-{name}")))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_licences_find_their_place_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (wheels, laid) = (folder.path().join("wheels"), folder.path().join("wheels/laid"));
        for file in [
            "onnxruntime/capi/libonnxruntime.so.1.31.1",
            "onnxruntime/capi/onnxruntime_pybind11_state.so",
            "onnxruntime/ThirdPartyNotices.txt",
            "nvidia/cu13/lib/libcudart.so.13",
            "nvidia/cu13/lib/libcufftw.so.12",
            "nvidia/cu13/include/cuda.h",
            "nvidia_cuda_runtime-13.dist-info/licenses/License.txt",
        ] {
            fs::create_dir_all(wheels.join(file).parent().unwrap()).unwrap();
            fs::write(wheels.join(file), "").unwrap();
        }
        for part in ["ort", "nvidia", "licences"] {
            fs::create_dir_all(laid.join(part)).unwrap();
        }
        lay_out(&wheels, &laid).unwrap();
        let names = |part: &str| {
            let mut names: Vec<_> = fs::read_dir(laid.join(part))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names("ort"), ["libonnxruntime.so.1.31.1"]);
        assert_eq!(names("nvidia"), ["libcudart.so.13"]);
        assert_eq!(names("licences"), ["nvidia_cuda_runtime-License.txt", "onnxruntime-ThirdPartyNotices.txt"]);
    }
}
