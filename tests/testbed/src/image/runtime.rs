//! What runs models in an image: its libraries, where they go, and what may be missing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::tools::{GpuLibraries, ORT_NOTICES};

use super::libraries;

/// Where the server looks for ONNX Runtime.
pub const ORT: &str = "opt/ort/lib";
/// Where the loader looks for NVIDIA's libraries, by `Containerfile.gpu`.
const NVIDIA: &str = "opt/nvidia";

/// Libraries that come with the driver, by the NVIDIA container toolkit.
const DRIVER: [&str; 2] = ["libcuda.so.1", "libnvidia-ml.so.1"];
/// TensorRT's, where no folder is given that has them.
const TENSORRT: [&str; 3] = ["libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10"];
/// What TensorRT builds engines from: kernels for L40S and for H100. Without them it loads, and builds nothing.
const BUILDERS: [&str; 2] = ["libnvinfer_builder_resource_sm89.so", "libnvinfer_builder_resource_sm90.so"];

/// What runs models.
#[derive(Debug, Clone, Copy)]
pub enum Runtime<'a> {
    /// The processor: ONNX Runtime's library alone.
    Processor(&'a Path),
    /// GPUs: with providers and NVIDIA's libraries, and with TensorRT's where a folder has them.
    Gpu(&'a GpuLibraries, Option<&'a Path>),
}

impl Runtime<'_> {
    /// The file that says how the image is built from its root.
    #[must_use]
    pub fn containerfile(self) -> &'static str {
        match self {
            Self::Processor(_) => "Containerfile",
            Self::Gpu(..) => "Containerfile.gpu",
        }
    }

    /// Puts the libraries and their licences into a root, and gives back the libraries of the system that they load.
    ///
    /// # Errors
    /// When a file is missing, or a library that must be there doesn't resolve.
    pub fn stage(self, root: &Path) -> Result<Vec<PathBuf>> {
        let ort = root.join(ORT);
        fs::create_dir_all(&ort)?;
        match self {
            Self::Processor(library) => {
                put(library, &ort)?;
                for notice in ORT_NOTICES {
                    put(&library.with_file_name(notice), &ort)?;
                }
                system(&[library.to_path_buf()], &[], &[])
            }
            Self::Gpu(libraries, tensorrt) => {
                let (nvidia, licences) = (root.join(NVIDIA), root.join("usr/share/doc/nvidia"));
                fs::create_dir_all(&nvidia)?;
                fs::create_dir_all(&licences)?;
                let mut folders =
                    vec![(libraries.ort(), &ort), (libraries.nvidia(), &nvidia), (libraries.licences(), &licences)];
                if let Some(folder) = tensorrt {
                    can_build(folder)?;
                    folders.push((folder.to_path_buf(), &nvidia));
                }
                for (from, to) in folders {
                    for file in files(&from)? {
                        put(&file, to)?;
                    }
                }
                // The toolkit puts the driver where a Debian system looks for it, if it takes this for one.
                fs::write(root.join("etc/debian_version"), "12\n")?;
                resolve(&ort, &nvidia, tensorrt.is_some())
            }
        }
    }
}

/// Checks that a folder has all that TensorRT loads while it builds an engine: nothing links to these.
fn can_build(tensorrt: &Path) -> Result<()> {
    let files = files(tensorrt)?;
    let is_there = |start: &&str| {
        files.iter().any(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(*start)))
    };
    let missing: Vec<_> = BUILDERS.into_iter().filter(|start| !is_there(start)).collect();
    ensure!(
        missing.is_empty(),
        "{} lacks {missing:?}: TensorRT would load, and build no engine; take the libraries of NVIDIA's own archive, not those of a smaller package",
        tensorrt.display()
    );
    Ok(())
}

/// Checks that all libraries of the GPU image resolve, but for those that come from elsewhere; gives back the system's.
///
/// # Errors
/// Which ones don't.
pub fn resolve(ort: &Path, nvidia: &Path, with_tensorrt: bool) -> Result<Vec<PathBuf>> {
    let mut all = files(ort)?;
    all.extend(files(nvidia)?);
    all.retain(|file| file.to_string_lossy().contains(".so"));
    let elsewhere: Vec<&str> = DRIVER.into_iter().chain(TENSORRT.into_iter().filter(|_| !with_tensorrt)).collect();
    system(&all, &[ort, nvidia], &elsewhere)
}

/// The libraries of the system that these load; none may be missing but those from `elsewhere`.
fn system(all: &[PathBuf], folders: &[&Path], elsewhere: &[&str]) -> Result<Vec<PathBuf>> {
    let needed = libraries::needed(all, folders)?;
    let missing: Vec<_> = needed.missing.iter().filter(|name| !elsewhere.contains(&&***name)).collect();
    ensure!(missing.is_empty(), "libraries are missing: {missing:?}");
    Ok(needed.found.into_iter().filter(|path| !folders.iter().any(|folder| path.starts_with(folder))).collect())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect())
}

/// Puts a file into a folder: by a link where the file system can, for NVIDIA's are large.
fn put(file: &Path, folder: &Path) -> Result<()> {
    let target = folder.join(file.file_name().context("a file has a name")?);
    if fs::hard_link(file, &target).is_err() {
        fs::copy(file, &target).with_context(|| format!("can't copy {}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_unless_it_comes_from_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("env.so");
        fs::copy("/usr/bin/env", &program).unwrap();
        let found = resolve(folder.path(), folder.path(), false).unwrap();
        assert!(found.iter().any(|path| path.ends_with("libc.so.6")), "{found:?}");
        // The program asks for another library than there is: its name is as long as the true one's.
        let mut bytes = fs::read(&program).unwrap();
        let at = bytes.windows(9).position(|window| window == b"libc.so.6").unwrap();
        bytes[at..at + 9].copy_from_slice(b"libq.so.6");
        fs::write(&program, bytes).unwrap();
        let error = resolve(folder.path(), folder.path(), false).unwrap_err();
        assert!(error.to_string().contains("libq.so.6"), "{error}");
        system(&[program], &[], &["libq.so.6"]).unwrap();
    }

    /// The redistributable in Maven Central is such a one.
    #[test]
    fn a_tensorrt_that_can_build_no_engine_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| fs::write(folder.path().join(name), "").unwrap();
        put("libnvinfer.so.10");
        put("libnvinfer_builder_resource_ptx.so.10.15.1");
        put("libnvinfer_builder_resource_sm89.so.10.15.1");
        let error = can_build(folder.path()).unwrap_err().to_string();
        assert!(error.contains("[\"libnvinfer_builder_resource_sm90.so\"]"), "{error}");
        put("libnvinfer_builder_resource_sm90.so.10.15.1");
        can_build(folder.path()).unwrap();
    }
}
