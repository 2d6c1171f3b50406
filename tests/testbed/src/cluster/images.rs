//! The two images that are there before any registry: made by hand, as archives of one layer.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{Cache, exec};

/// What holds a pod's namespaces.
pub const PAUSE: &str = "localhost/pause:1";
/// A shell and the usual small programs, for tests.
pub const BUSYBOX: &str = "localhost/busybox:1";

const PROGRAM: &str = "/bin/busybox";

/// The archives of both images, made unless they are there.
///
/// # Errors
/// When busybox is missing or an archive can't be written.
pub fn archives(cache: &Cache) -> Result<[PathBuf; 2]> {
    let program = fs::read(PROGRAM).context("install the Debian package busybox-static")?;
    let folder = cache.join(format!("images/{}", exec::digest(&[&program, include_bytes!("images.rs")])));
    let (pause, busybox) = (folder.join("pause.tar"), folder.join("busybox.tar"));
    if !busybox.is_file() {
        fs::create_dir_all(&folder)?;
        // A pod's first process has nothing to do but to be there.
        archive(&pause, PAUSE, &[], &["/bin/busybox", "sleep", "2147483647"])?;
        let list = exec::output(Command::new(PROGRAM).arg("--list"))?;
        let applets: Vec<&str> = list.lines().filter(|applet| *applet != "busybox").collect();
        archive(&busybox, BUSYBOX, &applets, &["/bin/sh"])?;
    }
    Ok([pause, busybox])
}

fn archive(target: &Path, name: &str, applets: &[&str], command: &[&str]) -> Result<()> {
    let work = target.with_extension("partial");
    drop(fs::remove_dir_all(&work));
    let root = work.join("root");
    for folder in ["bin", "etc", "tmp", "proc", "sys", "dev"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::copy(PROGRAM, root.join("bin/busybox"))?;
    for applet in applets {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nnonroot:x:65532:65532::/tmp:/bin/sh\n")?;
    pack(&root, &work.join("layer.tar"), &["."])?;
    let digest = Sha256::digest(fs::read(work.join("layer.tar"))?);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": command, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    fs::write(work.join("config.json"), config.to_string())?;
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    fs::write(work.join("manifest.json"), manifest.to_string())?;
    let packed = work.join("image.tar");
    pack(&work, &packed, &["manifest.json", "config.json", "layer.tar"])?;
    fs::rename(&packed, target)?;
    fs::remove_dir_all(&work)?;
    Ok(())
}

fn pack(folder: &Path, target: &Path, entries: &[&str]) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(target).arg("--directory").arg(folder);
    tar.args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]).args(entries);
    exec::output(&mut tar)?;
    Ok(())
}
