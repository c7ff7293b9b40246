//! A worker's accept loop, and how each client's connection is begun.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use super::client::Client;
use super::wire::{Opening, Wire};
use super::{Front, http1, http2, refusal};
use crate::certificate::Certificate;
use crate::headers::{self, Scheme};
use crate::proxy::Peer;
use crate::stats::Ended;

/// How long requests under way may take once the shutdown has begun: less than
/// [`chassis::shutdown::DRAIN`], within which the whole process ends.
const DRAIN: Duration = Duration::from_secs(8);

/// After an error of accept (too many open files) nothing is gained by trying again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a client that has only just connected may take for its first byte once the shutdown has
/// begun: it could not know.
const LATE_OPENING: Duration = Duration::from_secs(1);

/// How long a handshake may take, from the client's first byte on and with the wait for a place; no
/// longer than a head may.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves clients until the shutdown, then drains.
pub(super) async fn accept(socket: TcpListener, front: Arc<Front>) {
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the data port cannot be listened on");
            return;
        }
    };
    while !front.shutdown.is_cancelled() {
        tokio::select! {
            biased;
            () = front.shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => begin(stream, &front),
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    take_queued(&listener, &front).await;
    drop(listener);
    let connections = &front.connections;
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            left = connections.len(),
            "connections are cut at the end of the drain"
        );
    }
}

/// Closing the socket would reset what waits in its queue; those clients are served instead. No more
/// than the queue can hold, so that a flood cannot hold up the end.
async fn take_queued(listener: &tokio::net::TcpListener, front: &Arc<Front>) {
    for _ in 0..super::listeners::BACKLOG {
        let accepted = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match listener.poll_accept(cx) {
                std::task::Poll::Ready(Ok((stream, _))) => Some(stream),
                _ => None,
            })
        });
        match accepted.await {
            Some(stream) => begin(stream, front),
            None => return,
        }
    }
}

/// Gives the client a place, or tells it that there is none.
fn begin(stream: TcpStream, front: &Arc<Front>) {
    let Ok(remote) = stream.peer_addr() else {
        return;
    };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let address = remote.ip().to_canonical();
    let counts = front.proxy.shared.stats.clients();
    let plane = front.proxy.shared.plane();
    match front
        .places
        .take(address, &plane.limits, plane.is_trusted(address))
    {
        Ok(place) => {
            let client = Arc::new(Client::new(&plane.limits, Arc::clone(counts), place));
            let peer = Peer {
                address,
                written: headers::written(address),
                scheme: Scheme::Http,
            };
            let wire = Wire::new(stream, client);
            let serving = serve(wire, Arc::clone(front), peer);
            front.connections.spawn(serving);
        }
        Err(why) => {
            counts.ended(why);
            // Without a place among those that are told, or where only TLS is understood: closed.
            let told = Arc::clone(&front.told).try_acquire_owned();
            if let (Ok(told), None) = (told, &front.certificate) {
                front.connections.spawn(async move {
                    refusal::tell(stream, &refusal::too_many()).await;
                    drop(told);
                });
            }
        }
    }
}

/// Serves a connection to its end. What is not every idle client's is on the heap, so that the task
/// of each of ten thousand is small.
async fn serve(mut wire: Wire, front: Arc<Front>, peer: Peer) {
    let client = Arc::clone(wire.client());
    let address = peer.address;
    let opening = opening(&mut wire, &front, client.idle_timeout).await;
    let ended = match (opening, &front.certificate) {
        (Opening::Nothing, _) => return,
        (Opening::Tls, Some(certificate)) => {
            let peer = Peer {
                scheme: Scheme::Https,
                ..peer
            };
            let shaking = Box::pin(shake_hands(wire, &front, certificate));
            let Some(stream) = shaking.await else {
                client.counts.ended(Ended::Handshake);
                return;
            };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                Box::pin(http2::serve(stream, front, client, peer)).await
            } else {
                Box::pin(http1::serve(stream, front, client, peer)).await
            }
        }
        (_, Some(_)) => {
            client.counts.ended(Ended::Plain);
            return Box::pin(refusal::tell(wire.into_tcp(), &refusal::not_tls())).await;
        }
        (Opening::Http2, None) => Box::pin(http2::serve(wire, front, client, peer)).await,
        (Opening::Http1 | Opening::Tls, None) => http1::serve(wire, front, client, peer).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, peer = %address, "a client's connection ended");
    }
}

/// Waits for the first bytes: as long as an idle connection may, or a moment once the shutdown has
/// begun.
async fn opening(wire: &mut Wire, front: &Front, idle_timeout: Duration) -> Opening {
    let late = async {
        front.shutdown.cancelled().await;
        tokio::time::sleep(LATE_OPENING).await;
    };
    tokio::select! {
        biased;
        opening = wire.opening() => opening,
        () = tokio::time::sleep(idle_timeout) => Opening::Nothing,
        () = late => Opening::Nothing,
    }
}

/// Makes the connection a secure one; `None` when it does not become one in time. Only who has said hello
/// takes a place: those who say nothing stand in nobody's way.
async fn shake_hands(
    wire: Wire,
    front: &Front,
    certificate: &Certificate,
) -> Option<TlsStream<Wire>> {
    let within = HANDSHAKE.min(wire.client().header_timeout);
    let shaking = async {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), wire).await?;
        let Ok(_place) = front.handshakes.acquire().await else {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        };
        hello.into_stream(certificate.server()).await
    };
    let shaken = tokio::time::timeout(within, shaking).await.ok()?;
    shaken
        .inspect_err(|error| tracing::debug!(%error, "a handshake failed"))
        .ok()
}
