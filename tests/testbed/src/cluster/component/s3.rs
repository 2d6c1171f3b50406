//! The S3 server.

use std::fs;

use anyhow::Result;

use super::Site;
use crate::cluster::process::Program;

/// The port.
pub const PORT: u16 = 9000;
/// The region that clients sign for.
pub const REGION: &str = "eu-central-1";
/// The key's id. The server is reachable from this machine only.
pub const ACCESS_KEY: &str = "testbed";
/// The key.
pub const SECRET_KEY: &str = "testbed-secret-key";

/// The server over the folder with the buckets.
///
/// # Errors
/// When the folder can't be made.
pub fn s3(site: Site<'_>) -> Result<Program> {
    fs::create_dir_all(&site.state.s3.folder)?;
    let arguments = [
        format!("--host={}", site.state.control_plane),
        format!("--port={PORT}"),
        format!("--access-key={ACCESS_KEY}"),
        format!("--secret-key={SECRET_KEY}"),
        site.state.s3.folder.display().to_string(),
    ];
    Ok(Program::new("s3", &site.tools.s3, arguments).with_env("RUST_LOG", "warn"))
}
