//! A runtime for each core, and connections dealt out in turn: what a limit listens with.

use crate::process::cores;
use anyhow::Result;
use std::{future::Future, net::TcpStream, rc::Rc, sync::mpsc::sync_channel};
use tokio::sync::mpsc::unbounded_channel;

/// Serves for ever. On each core `make` makes what its connections share, and `serve` serves one of them.
pub fn serve<S, F>(
    address: &str,
    make: impl Fn() -> Result<S> + Clone + Send + 'static,
    serve: impl Fn(Rc<S>, tokio::net::TcpStream) -> F + Clone + Send + 'static,
) -> Result<()>
where
    S: 'static,
    F: Future<Output = ()> + 'static,
{
    let mut senders = Vec::new();
    for _ in 0..cores() {
        let (sender, mut streams) = unbounded_channel::<TcpStream>();
        let (told, ready) = sync_channel(1);
        let (make, serve) = (make.clone(), serve.clone());
        std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let shared = match make() {
                Ok(shared) => Rc::new(shared),
                Err(error) => return Ok(told.send(Err(error))?),
            };
            told.send(Ok(()))?;
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async move {
                while let Some(stream) = streams.recv().await {
                    let stream = tokio::net::TcpStream::from_std(stream)?;
                    tokio::task::spawn_local(serve(Rc::clone(&shared), stream));
                }
                Ok(())
            })
        });
        ready.recv()??;
        senders.push(sender);
    }
    let listener = std::net::TcpListener::bind(address)?;
    for (number, stream) in listener.incoming().enumerate() {
        let stream = stream?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        senders[number % senders.len()].send(stream)?;
    }
    Ok(())
}
