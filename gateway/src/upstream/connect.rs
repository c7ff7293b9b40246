//! Opening connections to an upstream's endpoints.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

use super::endpoint::Peer;
use super::link::{Connection, Http1, Target};
use super::tls::{self, Offer, Tls};
use crate::config::{self, HeaderCase, Protocol, Scheme};

/// Opens connections as one upstream's settings say.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    protocol: Protocol,
    connect_timeout: Duration,
    header_case: HeaderCase,
    ping_every: Duration,
    /// Present where an endpoint is reached by TLS.
    tls: Option<Tls>,
}

/// An open connection.
#[derive(Debug)]
pub(crate) enum Opened {
    Http1(Http1),
    Http2(Connection),
}

/// Why there is no connection. Nothing was sent in either case.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Refused, unreachable, a name that does not resolve, or a peer that is not who it should be.
    #[error("connecting failed: {0}")]
    Failed(#[from] io::Error),
    /// `connect_timeout` passed.
    #[error("connecting took too long")]
    TimedOut,
}

impl Dialer {
    /// Reads the certificates that the settings name.
    pub(super) fn new(settings: &config::Upstream) -> Self {
        let offer = match settings.protocol {
            Protocol::Http1 | Protocol::H2c => Offer::Http1,
            Protocol::Https | Protocol::Auto => Offer::Both,
        };
        let is_tls = |endpoint: &config::Endpoint| endpoint.scheme == Scheme::Https;
        let needs_tls = settings.endpoints.iter().any(is_tls);
        Self {
            protocol: settings.protocol,
            connect_timeout: settings.connect_timeout,
            header_case: settings.header_case,
            // Servers of gRPC hang up on the third ping within a silence: an idle timeout sees two.
            ping_every: settings.idle_timeout / 2,
            tls: needs_tls.then(|| Tls::new(&settings.tls, offer)),
        }
    }

    /// Follows the files of certificates, where the settings name some.
    pub(super) fn following(&self) -> Option<impl Future<Output = ()> + Send + 'static> {
        self.tls.as_ref()?.following()
    }

    /// Whether connections to the endpoint may carry more than one exchange at a time.
    pub(super) fn may_multiplex(&self, endpoint: &config::Endpoint) -> bool {
        match self.protocol {
            Protocol::Http1 => false,
            Protocol::H2c => true,
            Protocol::Https | Protocol::Auto => endpoint.scheme == Scheme::Https,
        }
    }

    /// Connects, by TLS where the endpoint says so, and agrees on the protocol.
    pub(super) async fn open(&self, peer: &Peer) -> Result<Opened, ConnectError> {
        self.in_time(self.connect(peer)).await?
    }

    /// Waits no longer than for a connection.
    pub(super) async fn in_time<T>(
        &self,
        waiting: impl Future<Output = T>,
    ) -> Result<T, ConnectError> {
        tokio::time::timeout(self.connect_timeout, waiting)
            .await
            .map_err(|_| ConnectError::TimedOut)
    }

    async fn connect(&self, peer: &Peer) -> Result<Opened, ConnectError> {
        let endpoint = &peer.endpoint;
        let host = endpoint.host.as_str();
        let stream = match peer.at {
            Some(address) => TcpStream::connect((address, endpoint.port)).await?,
            None => TcpStream::connect((host, endpoint.port)).await?,
        };
        // Without it a small body behind a head waits for the peer's delayed acknowledgement.
        stream.set_nodelay(true)?;
        let target = || Target {
            scheme: endpoint.scheme,
            authority: endpoint.authority().parse().ok(),
        };
        Ok(match (&self.tls, endpoint.scheme) {
            (Some(tls), Scheme::Https) => {
                let stream = tls.connect(host, stream).await?;
                if tls::is_h2(&stream) {
                    Opened::Http2(Connection::start(stream, target(), self.ping_every).await?)
                } else {
                    Opened::Http1(Http1::start(stream, self.header_case).await?)
                }
            }
            (None, Scheme::Https) => return Err(io::Error::from(io::ErrorKind::Unsupported).into()),
            (_, Scheme::Http) if self.protocol == Protocol::H2c => {
                Opened::Http2(Connection::start(stream, target(), self.ping_every).await?)
            }
            (_, Scheme::Http) => Opened::Http1(Http1::start(stream, self.header_case).await?),
        })
    }
}
