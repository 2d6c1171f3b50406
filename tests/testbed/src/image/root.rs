//! The root of the image, staged in a folder: the programs, the libraries that they load, and nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::repository;

use super::{PROGRAMS, Runtime, libraries};

/// Where the loader looks without a cache: its own default.
const LIBRARIES: &str = "lib/x86_64-linux-gnu";
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";
const LOADER: &str = "lib64/ld-linux-x86-64.so.2";
/// glibc opens these by name when a program asks for a host or a user.
const BY_NAME: [&str; 2] = ["libnss_dns.so.2", "libnss_files.so.2"];

/// Fills the folder anew and gives it back.
///
/// # Errors
/// When a file is missing or the folder can't be written.
pub fn stage(root: &Path, built: &Path, runtime: Runtime<'_>) -> Result<PathBuf> {
    drop(fs::remove_dir_all(root));
    for folder in ["etc/ssl/certs", "lib64", "tmp", "var/cache/millrace", "usr/share/doc/millrace", LIBRARIES] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::set_permissions(root.join("var/cache/millrace"), fs::Permissions::from_mode(0o1777))?;
    let mut loaded = Vec::new();
    for program in PROGRAMS {
        copy(&built.join(program), &root.join(program))?;
        loaded.push(built.join(program));
    }
    let mut system = libraries::needed(&loaded, &[])?;
    ensure!(system.missing.is_empty(), "libraries are missing: {:?}", system.missing);
    system.found.extend(runtime.stage(root)?);
    for library in system.found {
        let name = library.file_name().context("a library has a name")?;
        let target = if LOADER.ends_with(&*name.to_string_lossy()) {
            root.join(LOADER)
        } else {
            root.join(LIBRARIES).join(name)
        };
        copy(&library, &target)?;
    }
    for name in BY_NAME {
        let library = Path::new("/").join(LIBRARIES).join(name);
        if library.is_file() {
            copy(&library, &root.join(LIBRARIES).join(name))?;
        }
    }
    copy(&Path::new("/").join(CERTIFICATES), &root.join(CERTIFICATES))
        .context("install the package ca-certificates")?;
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/\nnonroot:x:65532:65532:nonroot:/tmp:/\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\nnonroot:x:65532:\n")?;
    fs::write(root.join("etc/nsswitch.conf"), "hosts: files dns\n")?;
    notices(&root.join("usr/share/doc/millrace"))?;
    Ok(root.to_path_buf())
}

/// The licence and what the libraries in the image ask to be said.
fn notices(target: &Path) -> Result<()> {
    for entry in fs::read_dir(repository())?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if ["LICENSE", "NOTICE", "THIRD"].iter().any(|start| name.starts_with(start)) && entry.path().is_file() {
            copy(&entry.path(), &target.join(name))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("can't copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::runtime::ORT;
    use crate::tools::ORT_NOTICES;
    use std::process::Command;

    #[test]
    fn a_staged_program_finds_all_its_libraries_in_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let (root, built, ort) = (folder.path().join("root"), folder.path().join("built"), folder.path().join("ort"));
        fs::create_dir_all(&built).unwrap();
        fs::create_dir_all(&ort).unwrap();
        for program in PROGRAMS {
            fs::copy("/usr/bin/env", built.join(program)).unwrap();
        }
        let library = ort.join("libonnxruntime.so.1.0.0");
        fs::copy(Path::new("/").join(LIBRARIES).join("libm.so.6"), &library).unwrap();
        for notice in ORT_NOTICES {
            fs::write(ort.join(notice), "").unwrap();
        }
        stage(&root, &built, Runtime::Processor(&library)).unwrap();
        let mut list = Command::new(root.join(LOADER));
        list.args(["--inhibit-cache", "--library-path"]).arg(root.join(LIBRARIES));
        let listed = crate::exec::output(list.arg("--list").arg(root.join("millrace-server"))).unwrap();
        let found: Vec<&str> = listed.split_whitespace().filter(|word| word.starts_with('/')).collect();
        assert!(found.iter().any(|path| path.ends_with("libc.so.6")), "{listed}");
        // The loader itself is named by the path that is written in the program.
        let outside =
            found.iter().filter(|path| !path.ends_with("ld-linux-x86-64.so.2") && !Path::new(path).starts_with(&root));
        assert_eq!(outside.count(), 0, "{listed}");
        assert!(root.join(ORT).join("libonnxruntime.so.1.0.0").is_file());
    }
}
