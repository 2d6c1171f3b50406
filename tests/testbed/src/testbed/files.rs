//! Objects in the store and images on the nodes.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Testbed;
use crate::exec;
use crate::image::{self, Profile};

impl Testbed {
    /// Puts a file into the S3 store: `path` is `BUCKET/KEY`.
    ///
    /// # Errors
    /// When the path is no such thing or the file can't be copied.
    pub fn s3_put(&self, path: &str, file: &Path) -> Result<()> {
        let target = self.s3_file(path)?;
        fs::create_dir_all(target.parent().context("a key is below its bucket")?)?;
        // Renamed last: a reader sees the old object or the new one.
        let partial = target.with_extension("partial");
        fs::copy(file, &partial).with_context(|| file.display().to_string())?;
        fs::rename(&partial, &target)?;
        Ok(())
    }

    /// Removes an object from the S3 store.
    ///
    /// # Errors
    /// When it is not there.
    pub fn s3_remove(&self, path: &str) -> Result<()> {
        let target = self.s3_file(path)?;
        fs::remove_file(&target).with_context(|| format!("no object {path}"))
    }

    fn s3_file(&self, path: &str) -> Result<PathBuf> {
        let relative = Path::new(path);
        let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(plain && relative.components().count() >= 2, "{path:?} is no BUCKET/KEY");
        Ok(self.state.s3.folder.join(relative))
    }

    /// Builds the product's image from these sources pushes it to the cluster's registry and takes it from there. Gives
    /// back its name.
    ///
    /// # Errors
    /// When the build or the push fails.
    pub fn push_image(&mut self, profile: Profile) -> Result<String> {
        image::build(&self.cache, profile, image::Runtime::Processor(&self.state.ort_library))?;
        let repository = format!("{}/millrace", self.state.registry.host);
        let reference = image::push(&self.cache, &repository, &image::tag(), image::Transport::PlainHttp)?;
        self.take_image(&reference)?;
        Ok(reference)
    }

    /// Remembers an image of the product that was pushed to the cluster's registry, and pulls it to every real node.
    ///
    /// # Errors
    /// When a pull fails.
    pub fn take_image(&mut self, reference: &str) -> Result<()> {
        self.preload(reference)?;
        self.state.image = Some(reference.to_owned());
        self.state.write()
    }

    /// No pod waits for an image that its node has.
    fn preload(&self, reference: &str) -> Result<()> {
        for node in &self.state.nodes {
            let mut pull = self.command_inside(self.state.tools.join("ctr"));
            pull.arg("--address").arg(&node.containerd_socket);
            pull.args(["--namespace", "k8s.io", "images", "pull", "--local", "--plain-http", reference]);
            exec::output(&mut pull).with_context(|| node.name.clone())?;
        }
        Ok(())
    }
}
