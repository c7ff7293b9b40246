//! A worker's accept loop and its clients' connections.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use chassis::Shutdown;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::guard::Guarded;
use crate::proxy::Proxy;

/// The most clients that one worker serves at a time; further ones wait in the kernel's queue. It
/// bounds memory (an idle connection costs about 10 KiB), not throughput.
const MAX_CONNECTIONS: usize = 32 * 1024;

/// How long a client may take for a request's head, and stay idle between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The largest head of a request: 431 beyond. Servers behind commonly allow 8 to 64 KiB.
const MAX_HEAD: usize = 64 * 1024;

/// hyper's buffer per connection and direction: what a client that does not read can hold.
const MAX_BUFFER: usize = 64 * 1024;

/// How long requests under way may take once the shutdown has begun: less than
/// [`chassis::shutdown::DRAIN`], within which the whole process ends.
const DRAIN: Duration = Duration::from_secs(8);

/// After an error of accept (too many open files) nothing is gained by trying again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves clients until the shutdown, then drains.
pub(super) async fn accept(socket: TcpListener, proxy: Arc<Proxy>, shutdown: Shutdown) {
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the data port cannot be listened on");
            return;
        }
    };
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let serve = |stream, place| {
        connections.spawn(serve(stream, Arc::clone(&proxy), shutdown.clone(), place));
    };
    while !shutdown.is_cancelled() {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            break;
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => serve(stream, place),
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    take_queued(&listener, &places, serve).await;
    drop(listener);
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

/// Closing the socket would reset what waits in its queue; those clients are served instead.
async fn take_queued(
    listener: &tokio::net::TcpListener,
    places: &Arc<Semaphore>,
    serve: impl Fn(TcpStream, OwnedSemaphorePermit),
) {
    while let Ok(place) = Arc::clone(places).try_acquire_owned() {
        let accepted = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match listener.poll_accept(cx) {
                std::task::Poll::Ready(Ok((stream, _))) => Some(stream),
                _ => None,
            })
        });
        match accepted.await {
            Some(stream) => serve(stream, place),
            None => return,
        }
    }
}

async fn serve(
    stream: TcpStream,
    proxy: Arc<Proxy>,
    shutdown: Shutdown,
    _place: OwnedSemaphorePermit,
) {
    let Ok(peer) = stream.peer_addr() else {
        return;
    };
    let _counted = proxy.shared.stats.connection();
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let peer = peer.ip();
    let service = service_fn(move |request| {
        let proxy = Arc::clone(&proxy);
        async move { Ok::<_, std::convert::Infallible>(proxy.serve(request, peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(Guarded::new(stream)), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            // What is under way gets its answer, with `Connection: close`.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a client's connection ended");
    }
}
