//! The program as README's laptop steps start it: no root, no cluster, no store; the example's manifest as it is.
#![allow(clippy::unwrap_used)] // the helpers of tests are tests too

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Somebody without rights.
const NOBODY: u32 = 65_534;

/// Copies of the program, ONNX Runtime, the model and the manifest where anybody may read them.
struct Laptop(tempfile::TempDir);

/// The program, which ends with its test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Laptop {
    /// None where there is no ONNX Runtime and model.
    fn new() -> Option<Self> {
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let Some((library, model)) = path("MILLRACE_ORT_LIBRARY").zip(path("MILLRACE_MAGIKA_MODEL")) else {
            println!(
                "not run: MILLRACE_ORT_LIBRARY and MILLRACE_MAGIKA_MODEL name no ONNX Runtime and model (cargo xtask test sets them)"
            );
            return None;
        };
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/magika.yaml");
        let laptop = Self(tempfile::tempdir().unwrap());
        let program = PathBuf::from(env!("CARGO_BIN_EXE_millrace-server"));
        for (from, to) in
            [(program, "program"), (library, "libonnxruntime.so"), (model, "model.onnx"), (manifest, "magika.yaml")]
        {
            fs::copy(from, laptop.file(to)).unwrap();
            fs::set_permissions(laptop.file(to), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(laptop.0.path(), fs::Permissions::from_mode(0o777)).unwrap();
        Some(laptop)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// README's command, on ports that are free; as nobody where the test may choose.
    fn command(&self) -> Command {
        let mut command = Command::new(self.file("program"));
        command.env_clear().env("HOME", self.0.path()).current_dir(self.0.path());
        command.arg("serve").arg("--manifest").arg("magika.yaml").args(["--model-file", "model.onnx"]);
        command.arg("--ort-library").arg(self.file("libonnxruntime.so"));
        command.args(["--address", "127.0.0.1:0", "--grpc-address", "", "--health-address", ""]);
        command.args(["--cache-dir", "cache"]);
        // Only root may become another; anybody else is nobody enough.
        if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

/// What it says where it listens, once it does.
fn address(server: &mut Server) -> String {
    let log = BufReader::new(server.0.stderr.take().unwrap());
    let mut seen = String::new();
    for line in log.lines().map_while(Result::ok) {
        let word = line.split_whitespace().find_map(|word| word.split_once("127.0.0.1:"));
        let port: String = word.map_or("", |(_, rest)| rest).chars().take_while(char::is_ascii_digit).collect();
        if !port.is_empty() {
            return format!("127.0.0.1:{port}");
        }
        seen += &line;
        seen.push('\n');
    }
    panic!("it ended before it listened:\n{seen}");
}

fn post(address: &str, path: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: laptop\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn somebody_without_rights_serves_the_example() {
    let Some(laptop) = Laptop::new() else { return };
    let mut server = Server(laptop.command().spawn().unwrap());
    let address = address(&mut server);
    let readme = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let answer = post(&address, "/process", &readme);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"label\":\"markdown\""), "{answer}");
}

#[test]
fn the_digest_is_enforced_here_too() {
    let Some(laptop) = Laptop::new() else { return };
    let mut model = fs::read(laptop.file("model.onnx")).unwrap();
    *model.last_mut().unwrap() ^= 1;
    fs::write(laptop.file("model.onnx"), model).unwrap();
    let output = laptop.command().output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && log.contains("sha256"), "{}: {log}", output.status);
}
