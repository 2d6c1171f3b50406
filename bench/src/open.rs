//! An open loop: each request is sent at its moment, however the earlier ones fare.

use anyhow::{Context, Result, ensure};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::Instant;

/// Connections, so that all gateways have a share.
const CONNECTIONS: usize = 8;
/// A request that isn't answered within this is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to send, and when.
#[derive(Clone, Debug)]
pub struct Open {
    /// Where to.
    pub url: String,
    /// API key.
    pub key: String,
    /// Authority of the server's certificate, PEM.
    pub ca: PathBuf,
    /// Bodies, sent in turn.
    pub bodies: Vec<Vec<u8>>,
    /// Seconds of each request, in order.
    pub instants: Vec<f64>,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sent {
    at: f64,
    took: f64,
    /// 0: no answer.
    status: u16,
}

/// Reads the moments of requests: the first column of a CSV with a header.
///
/// # Errors
/// The file can't be read, or has a row that is no moment.
pub fn read_schedule(file: &Path) -> Result<Vec<f64>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    instants(&text).with_context(|| format!("{} is no schedule", file.display()))
}

fn instants(text: &str) -> Result<Vec<f64>> {
    let mut instants = Vec::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        let first = line.split(',').next().unwrap_or_default().trim();
        let at: f64 = first
            .parse()
            .ok()
            .filter(|at: &f64| at.is_finite() && *at >= 0.0)
            .with_context(|| format!("row {} begins with {first:?}, which is no number of seconds", number + 1))?;
        ensure!(instants.last().is_none_or(|last| *last <= at), "row {} comes before the one above", number + 1);
        instants.push(at);
    }
    ensure!(!instants.is_empty(), "it has no rows");
    Ok(instants)
}

/// Sends all, and writes a row for each request as it ends: seconds at which it was sent, seconds that it took, status.
/// The first row, `start,EPOCH,0`, says when 0 was, in seconds since 1970.
///
/// # Errors
/// The authority can't be read, or `out` can't be written.
pub fn run(open: &Open, out: &mut impl Write) -> Result<()> {
    ensure!(!open.bodies.is_empty(), "a load needs a body");
    let pem = std::fs::read(&open.ca).with_context(|| format!("can't read {}", open.ca.display()))?;
    let certificate = reqwest::Certificate::from_pem(&pem)?;
    // The provider is chosen once in a process; a second choice of the same one is refused and means nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(send_all(Arc::new(open.clone()), certificate, out))
}

async fn send_all(open: Arc<Open>, certificate: reqwest::Certificate, out: &mut impl Write) -> Result<()> {
    let client = || {
        let builder = reqwest::Client::builder().tls_certs_only([certificate.clone()]).no_proxy();
        builder.timeout(PATIENCE).build()
    };
    let clients = (0..CONNECTIONS).map(|_| client()).collect::<Result<Vec<_>, _>>()?;
    let (sender, mut ended) = unbounded_channel();
    let begun = Instant::now();
    let epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    writeln!(out, "start,{:.3},0", epoch.as_secs_f64())?;
    let pacing = tokio::spawn(pace(Arc::clone(&open), clients, begun, sender));
    while let Some(Sent { at, took, status }) = ended.recv().await {
        writeln!(out, "{at:.4},{took:.4},{status}")?;
        out.flush()?;
    }
    Ok(pacing.await?)
}

async fn pace(open: Arc<Open>, clients: Vec<reqwest::Client>, begun: Instant, sender: UnboundedSender<Sent>) {
    for (number, at) in open.instants.iter().enumerate() {
        tokio::time::sleep_until(begun + Duration::from_secs_f64(*at)).await;
        let (open, sender) = (Arc::clone(&open), sender.clone());
        let client = clients[number % clients.len()].clone();
        tokio::spawn(async move {
            let body = open.bodies[number % open.bodies.len()].clone();
            let sent = Instant::now();
            let status = status(&client, &open, body).await.unwrap_or(0);
            let (at, took) = ((sent - begun).as_secs_f64(), sent.elapsed().as_secs_f64());
            let _ = sender.send(Sent { at, took, status });
        });
    }
}

async fn status(client: &reqwest::Client, open: &Open, body: Vec<u8>) -> Result<u16> {
    let answer = client.post(&open.url).bearer_auth(&open.key).body(body).send().await?;
    let status = answer.status().as_u16();
    answer.bytes().await?;
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read_and_nonsense_is_refused() {
        assert_eq!(instants("t_s,x\n0.5,1\n2\n").unwrap(), [0.5, 2.0]);
        for (text, why) in [
            ("t_s\n", "no rows"),
            ("t_s\nsoon\n", "row 2"),
            ("t_s\n-1\n", "row 2"),
            ("t_s\n2\n1\n", "row 3 comes before"),
            ("t_s\nNaN\n", "row 2"),
        ] {
            let error = instants(text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    /// A server that never answers takes no later request its turn.
    #[test]
    fn requests_go_out_at_their_moments_whatever_becomes_of_the_earlier_ones() {
        let folder = std::env::temp_dir().join(format!("millrace-open-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let ca = folder.join("ca.pem");
        std::fs::write(&ca, CERTIFICATE).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            use std::io::Read;
            let mut silent = Vec::new();
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(mut stream) = stream else { return };
                drop(stream.read(&mut [0; 1024]));
                if number == 0 {
                    silent.push(stream);
                } else {
                    drop(stream.write_all(b"HTTP/1.1 429 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
                    // The first is let go once the last is answered.
                    if number == 2 {
                        silent.clear();
                    }
                }
            }
        });
        let open = Open { url, key: "k".to_owned(), ca, bodies: vec![b"x".to_vec()], instants: vec![0.0, 0.05, 0.1] };
        let mut out = Vec::new();
        run(&open, &mut out).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<Vec<f64>> =
            text.lines().skip(1).map(|line| line.split(',').map(|field| field.parse().unwrap()).collect()).collect();
        assert!(text.starts_with("start,"), "{text}");
        assert_eq!(rows.iter().map(|row| row[2] as u16).collect::<Vec<_>>(), [429, 429, 0], "{text}");
        let times: Vec<f64> = rows.iter().map(|row| row[0]).collect();
        assert!(times[0] >= 0.05 && times[1] >= 0.1 && times[2] < 0.05, "{text}");
    }

    /// Any certificate: what is called here speaks no TLS.
    const CERTIFICATE: &str = include_str!("../tests/any.pem");
}
