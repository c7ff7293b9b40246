//! The connections that the client speaks over: plain, or with TLS.
//!
//! The client's own TLS would bring a second way to the same protocol, and a library for key stores.
//! So it is given a runtime whose connections are made here, by rustls with what the rest of this
//! project uses; everything else of that runtime is tokio's.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use async_compat::{Compat, CompatExt};
use async_rs::{Runtime, Tokio, traits::Reactor, util::RuntimeParts};
use futures::{AsyncRead, AsyncWrite, Stream};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties, uri::AMQPUri};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::server::{Server, Trust};

/// Either kind of connection.
trait Wire: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Wire for T {}

/// Speaks to a server as its address says.
pub(super) async fn connect(
    server: &Server,
    properties: ConnectionProperties,
) -> lapin::Result<Connection> {
    let trust = server.trust.clone();
    let open = async move |uri: AMQPUri, _: Runtime<RuntimeParts<Tokio, Wired>>| {
        let wire = open(&uri, trust.clone()).await?;
        Ok(AsyncTcpStream::Plain(wire))
    };
    let tokio = Tokio::current();
    let runtime = Runtime::new(RuntimeParts::new(tokio.clone(), Wired(tokio)));
    Connection::connector(server.uri.clone(), runtime, open, properties).await
}

async fn open(uri: &AMQPUri, trust: Option<Trust>) -> io::Result<Compat<Box<dyn Wire>>> {
    let authority = &uri.authority;
    let stream = TcpStream::connect((authority.host.as_str(), authority.port)).await?;
    stream.set_nodelay(true)?;
    let wire: Box<dyn Wire> = match trust {
        None => Box::new(stream),
        Some(trust) => {
            let name = trust.name.clone();
            let config = tokio::task::spawn_blocking(move || trust.config()).await?;
            let connector = TlsConnector::from(Arc::new(config.map_err(io::Error::other)?));
            Box::new(connector.connect(name, stream).await?)
        }
    };
    Ok(wire.compat())
}

/// Tokio's reactor, with connections of either kind.
#[derive(Clone, Debug)]
struct Wired(Tokio);

impl Reactor for Wired {
    type TcpStream = Compat<Box<dyn Wire>>;
    type Sleep = <Tokio as Reactor>::Sleep;

    /// The client does not ask for it, and what it would have to take cannot be named from outside.
    fn register<H: Read + Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        let unsupported = io::Error::from(io::ErrorKind::Unsupported);
        Err::<Compat<TcpStream>, _>(unsupported)
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.0.sleep(time)
    }

    fn interval(&self, time: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(time)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let connecting = TcpStream::connect(address);
        async move {
            let stream: Box<dyn Wire> = Box::new(connecting.await?);
            Ok(stream.compat())
        }
    }
}
