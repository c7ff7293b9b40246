//! HTTP/2 with a client, within limits that hold whatever it sends (RFC 9113 §10.5).

mod frames;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use self::frames::Frames;
use self::streams::Streams;
use super::Front;
use super::client::Client;
use super::reply::Reply;
use crate::proxy::Peer;
use crate::tapped::Tapped;

/// Requests at once on one connection: the least that RFC 9113 §6.5.2 recommends, so that nothing
/// that a browser loads in parallel waits for another. Clients with more to do open another
/// connection, which a different core may serve.
const MAX_STREAMS: u32 = 100;

/// What a stream may send unasked: a request of an API fits; an upload gets more as it is read.
const STREAM_WINDOW: u32 = 64 * 1024;

/// What all streams of a connection may send unasked, and so the most that it can make the gateway
/// hold of bodies that no upstream reads.
const CONNECTION_WINDOW: u32 = 512 * 1024;

/// What one answer may have in the making while its client does not read.
const MAX_SEND_BUFFER: usize = 64 * 1024;

/// As for HTTP/1: 431 beyond.
const MAX_HEADERS: u32 = 64 * 1024;

/// Malformed streams that are forgiven, and resets of streams that nobody has looked at yet.
const MAX_FAULTS: usize = 100;
const MAX_PENDING_RESETS: usize = 20;

/// A peer that is gone without a word is found out after these two: in less than the idle limit.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a client may take to heed a GOAWAY, and to read the rest of its last answer.
const GOODBYE: Duration = Duration::from_secs(5);

/// Serves a connection to its end: the client's, the idle limit's, or the shutdown's, which lets
/// what is under way finish.
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
    let streams = Streams::new(Arc::clone(&client));
    let frames = Tapped::new(stream, Frames::new(Arc::clone(&client.counts)));
    let known = Arc::clone(&client);
    let service = service_fn(move |request| {
        let (front, active) = (Arc::clone(&front), known.active());
        let peer = peer.clone();
        async move {
            let progress = streams::progress();
            let answered = front.proxy.serve(request, peer).await;
            let reply = answered.map(|body| Reply::new(body, active, progress));
            Ok::<_, std::convert::Infallible>(reply)
        }
    });
    let connection = http2::Builder::new(streams)
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .max_header_list_size(MAX_HEADERS)
        .max_local_error_reset_streams(MAX_FAULTS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .serve_connection(TokioIo::new(frames), service);
    let mut connection = std::pin::pin!(connection);
    let mut idle = std::pin::pin!(tokio::time::sleep(client.idle_timeout));
    let mut is_ending = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = shutdown.cancelled(), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
                idle.as_mut().reset(Instant::now() + GOODBYE);
            }
            () = idle.as_mut() => {
                let now = Instant::now();
                let until = client.idle_until().map(|until| match is_ending {
                    // Its last answer may still be on its way.
                    true => until - client.idle_timeout + GOODBYE,
                    false => until,
                });
                match until {
                    // Still busy: looked at again after another while.
                    None => idle.as_mut().reset(now + client.idle_timeout.min(GOODBYE)),
                    Some(until) if until > now => idle.as_mut().reset(until),
                    Some(_) if is_ending => return Ok(()),
                    Some(_) => {
                        is_ending = true;
                        connection.as_mut().graceful_shutdown();
                        idle.as_mut().reset(now + GOODBYE);
                    }
                }
            }
        }
    }
}
