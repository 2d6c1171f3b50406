//! Running other programs, with errors that show what they said.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

const SHOWN_LINES: usize = 20;

/// Runs a program and gives back its standard output.
///
/// # Errors
/// When it can't be started or fails; the message ends with what it wrote to standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let name = shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("can't run {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}\n{}", output.status, tail(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program with this text on its standard input and gives back its standard output.
///
/// # Errors
/// As [`output`].
pub fn output_with_input(command: &mut Command, input: &str) -> Result<String> {
    let name = shown(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("can't run {name}"))?;
    let mut stdin = child.stdin.take().context("standard input was piped")?;
    let output = std::thread::scope(|scope| {
        // Written from a thread of its own: the program may fill its output before it has read all.
        scope.spawn(move || drop(stdin.write_all(input.as_bytes())));
        child.wait_with_output()
    })?;
    if !output.status.success() {
        bail!("{name}: {}\n{}", output.status, tail(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program with its output in a file.
///
/// # Errors
/// When it can't be started or fails; the message ends with the last lines of the file.
pub fn logged(command: &mut Command, log: &Path) -> Result<()> {
    let name = shown(command);
    let file = File::create(log).with_context(|| format!("can't write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let status = command.status().with_context(|| format!("can't run {name}"))?;
    if !status.success() {
        let text = std::fs::read(log).unwrap_or_default();
        bail!("{name}: {status}; its output is in {}\n{}", log.display(), tail(&String::from_utf8_lossy(&text)));
    }
    Ok(())
}

/// Runs a program with its output on the terminal.
///
/// # Errors
/// When it can't be started or fails.
pub fn shown_live(command: &mut Command) -> Result<()> {
    let name = shown(command);
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("can't run {name}"))?;
    if !status.success() {
        bail!("{name}: {status}");
    }
    Ok(())
}

/// Whether a program runs and ends well; its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The first 16 hexadecimal digits of the SHA-256 of these parts.
#[must_use]
pub fn digest(parts: &[&[u8]]) -> String {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    for part in parts {
        // The length goes first, so that moving a byte from one part to the next changes the digest.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// cargo, at the root of the repository, as if called from a shell.
///
/// What cargo sets for `cargo xtask` itself is taken away: build scripts that look at it (ring's) would run anew each
/// time that a call from a shell and one from here take turns.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(crate::repository());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "CARGO" {
            command.env_remove(&name);
        }
    }
    command
}

/// The folder that cargo builds this workspace into.
///
/// # Errors
/// When cargo fails.
pub fn target_folder() -> Result<PathBuf> {
    let metadata = output(cargo().args(["metadata", "--format-version=1", "--no-deps", "--locked"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    Ok(metadata["target_directory"].as_str().unwrap_or("target").into())
}

fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().take(6) {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_what_the_program_said() {
        let error = output(Command::new("sh").args(["-c", "echo no such luck >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("no such luck"), "{error}");
        assert!(error.to_string().contains('3'), "{error}");
    }

    #[test]
    fn input_larger_than_a_pipe_arrives_whole() {
        let input = "x".repeat(1 << 20);
        assert_eq!(output_with_input(&mut Command::new("cat"), &input).unwrap(), input);
    }

    #[test]
    fn the_digest_depends_on_where_parts_end() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_eq!(digest(&[b"a"]).len(), 16);
    }
}
