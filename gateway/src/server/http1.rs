//! HTTP/1.0 and 1.1 with a client.

use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Front;
use super::client::Client;
use super::guard::Guarded;
use super::hinted::Hinted;
use super::reply::Reply;
use crate::hints::Hints;
use crate::proxy::Peer;

/// The largest head of a request: 431 beyond. Servers behind commonly allow 8 to 64 KiB.
const MAX_HEAD: usize = 64 * 1024;

/// hyper's buffer per connection and direction: what a client that does not read can hold.
const MAX_BUFFER: usize = 64 * 1024;

/// Serves a connection to its end; once the shutdown has begun, what is under way gets its answer,
/// with `Connection: close`.
pub(super) async fn serve<S>(
    stream: S,
    front: Arc<Front>,
    client: Arc<Client>,
    peer: Peer,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shutdown = front.shutdown.clone();
    let (keeps_case, hints) = {
        let plane = front.proxy.shared.plane();
        let hints = plane.passes_hints.then(Arc::<Hints>::default);
        (plane.keeps_header_case, hints)
    };
    let guarded = Guarded::new(stream, Arc::clone(&client));
    let hinted = Hinted::new(guarded, hints.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (front, active) = (Arc::clone(&front), client.active());
        let peer = peer.clone();
        let hints = hints
            .clone()
            .filter(|_| request.version() == Version::HTTP_11);
        if let Some(hints) = &hints {
            hints.open();
            request.extensions_mut().insert(Arc::clone(hints));
        }
        // On the heap, since the library keeps room for one for as long as the connection lives: six
        // KiB that an idle one does not need, and that are warm when they are used by turns.
        in_place(|| async move {
            let mut answered = front.proxy.serve(request, peer).await;
            if let Some(hints) = hints {
                hints.close();
            }
            if let Some(tunnel) = answered.body_mut().take_tunnel() {
                // The library hands the connection over and is done with it; the drain is not.
                front.connections.spawn(tunnel.run());
            }
            Ok::<_, std::convert::Infallible>(answered.map(|body| Reply::new(body, active, None)))
        })
    });
    let connection = http1::Builder::new()
        // The guard knows better what is being waited for.
        .header_read_timeout(None)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_BUFFER)
        .preserve_header_case(keeps_case)
        .serve_connection(TokioIo::new(hinted), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

/// Makes a future where it stays: `Box::pin` would make it on the stack and copy all of it, when of a new
/// one only the arguments are there.
#[inline(always)]
fn in_place<F>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}
