//! An https server over the same folder as the S3 server: `GET /BUCKET/KEY` with a bearer token.

use std::fs;

use anyhow::Result;

use super::Site;
use crate::cluster::process::Program;

/// The port.
pub const PORT: u16 = 9443;
/// What callers must present. The server is reachable from this machine only.
pub const TOKEN: &str = "testbed-token";
/// The certificate's name among the cluster's keys.
pub const CERTIFICATE: &str = "files";

/// The server, in the Python that the cluster's clients run in.
///
/// # Errors
/// When its script can't be written.
pub fn files(site: Site<'_>) -> Result<Program> {
    let script = site.folder("files.py");
    fs::write(&script, include_str!("files.py"))?;
    let arguments = [
        script,
        site.state.control_plane.to_string(),
        PORT.to_string(),
        site.pki.file("files.crt"),
        site.pki.file("files.key"),
        site.state.s3.folder.display().to_string(),
        TOKEN.to_owned(),
    ];
    Ok(Program::new("files", &site.state.python, arguments))
}
