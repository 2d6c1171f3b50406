//! A server that runs: its start, its stops, and what it tells of itself.

use super::{Server, Setup, check};
use crate::{
    case::Case,
    load::Connection,
    process::{Awake, Program},
    wire::Wire,
};
use anyhow::{Context, Result, bail, ensure};
use millrace_crds::report::ServerReport;
use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

/// Python servers import whole frameworks.
const READY: Duration = Duration::from_secs(120);

/// A server that runs.
pub struct Running {
    /// Which.
    pub server: Server,
    /// Its process.
    pub program: Program,
    http: u16,
    grpc: u16,
}

impl Running {
    /// Starts a server, waits until it answers a body rightly on each wire that it speaks, and stops it.
    pub fn start(server: Server, setup: &Setup, case: &Case) -> Result<Self> {
        let [http, grpc] = free_ports()?;
        let mut command = server.command(setup, case, [http, grpc])?;
        command.current_dir(&setup.work);
        let log = setup.work.join(format!("{}-{}.log", server.name(), case.model.name()));
        let mut program = Program::start(&mut command, &log)?;
        for wire in Wire::ALL.into_iter().filter(|&wire| server.serves(case.model, wire)) {
            ready(server, case, wire, &mut program, if wire == Wire::Grpc { grpc } else { http })
                .with_context(|| format!("{} over {} ({})", server.name(), wire.name(), log.display()))?;
        }
        let running = Self { server, program, http, grpc };
        drop(running.awake());
        Ok(running)
    }

    /// Lets it go on for as long as the guard lives; before and after, it is stopped and takes nothing from the others.
    /// Ray's parts would give each other up: it goes on all the time.
    pub fn awake(&self) -> Option<Awake<'_>> {
        (self.server != Server::Ray).then(|| self.program.awake())
    }

    /// What Millrace's server reports of itself.
    pub fn report(&self) -> Result<ServerReport> {
        let mut stream = TcpStream::connect(self.address(Wire::Json))?;
        stream.write_all(b"GET /report HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("a report")?;
        Ok(serde_json::from_str(body)?)
    }

    /// Runs of its engine so far, by rows. Peers don't tell.
    pub fn batches(&self) -> Result<BTreeMap<usize, u64>> {
        if self.server != Server::Millrace {
            return Ok(BTreeMap::new());
        }
        self.report()?.batches.iter().map(|batch| Ok((usize::try_from(batch.size)?, batch.count))).collect()
    }

    /// Where it answers on a wire.
    pub fn address(&self, wire: Wire) -> SocketAddr {
        let port = if wire == Wire::Grpc { self.grpc } else { self.http };
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }
}

fn ready(server: Server, case: &Case, wire: Wire, program: &mut Program, port: u16) -> Result<()> {
    let begun = Instant::now();
    let request = wire.request(case.model.name(), &case.bodies[0]);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let check = check(server, case, wire);
    loop {
        let call = async {
            let mut connection = Connection::open(wire, address).await?;
            connection.call(&request, |answer, length| check.answer(0, answer, length)).await
        };
        let limited = async { tokio::time::timeout(Duration::from_secs(20), call).await };
        let error = match runtime.block_on(limited) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => anyhow::anyhow!("no answer"),
        };
        if let Some(told) = program.ended() {
            bail!("{told}");
        }
        ensure!(begun.elapsed() < READY, "it isn't ready: {error:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Two ports that are free now.
fn free_ports() -> Result<[u16; 2]> {
    let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    Ok([listeners[0].local_addr()?.port(), listeners[1].local_addr()?.port()])
}
