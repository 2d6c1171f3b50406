//! Connections of the operator to gateways and servers, over mutual TLS.

use super::identity::Identity;
use anyhow::Result;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

impl Identity {
    /// To a gateway, which is known by its name.
    ///
    /// # Errors
    /// It can't be reached, or is another.
    pub async fn to_gateway(&self, address: SocketAddr, name: &'static str) -> Result<TlsStream<TcpStream>> {
        dial(&self.gateways, address, ServerName::try_from(name)?).await
    }

    /// To a model server, which is known by its address.
    ///
    /// # Errors
    /// It can't be reached.
    pub async fn to_server(&self, address: SocketAddr) -> Result<TlsStream<TcpStream>> {
        dial(&self.servers, address, ServerName::IpAddress(address.ip().into())).await
    }
}

async fn dial(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    name: ServerName<'static>,
) -> Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?)
}
