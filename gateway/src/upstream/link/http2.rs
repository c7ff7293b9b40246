//! A connection of HTTP/2 and the streams on it.
//!
//! Invariant: what failed counts as unprocessed only where the endpoint said so itself: by
//! REFUSED_STREAM, or by a GOAWAY whose last stream comes before this one (RFC 9113 §6.8, §8.7).

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, Reason, RecvStream};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version, header};
use http_body::Body;
use tokio::io::{AsyncRead, AsyncWrite};

use super::pump::Pump;
use super::response::Received;
use super::{Broken, MAX_HEAD, ResponseBody, SendError, Traffic, counted};
use crate::config::Scheme;
use crate::forward::RequestBody;

/// A connection, as long as further requests may go over it.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    traffic: Arc<Traffic>,
    target: Arc<Target>,
    load: Arc<Load>,
}

/// A place on a connection, for one exchange.
#[derive(Debug)]
pub(crate) struct Stream {
    sender: SendRequest<Bytes>,
    traffic: Arc<Traffic>,
    target: Arc<Target>,
    place: Place,
}

/// How the endpoint is addressed.
#[derive(Debug)]
pub(crate) struct Target {
    pub(in crate::upstream) scheme: Scheme,
    /// Stands in for a `Host` that a client did not send.
    pub(in crate::upstream) authority: Option<Authority>,
}

/// What goes on on a connection.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Load {
    streams: AtomicUsize,
    served: AtomicU64,
    is_distrusted: AtomicBool,
}

#[derive(Debug)]
struct Place(Arc<Load>);

/// Exchanges at a time on one connection: a lost packet or a broken connection stops so many, and no
/// more. What RFC 9113 §6.5.2 recommends servers to allow at least.
const MAX_STREAMS: usize = 100;

/// What an endpoint may send ahead of a client that does not read: enough for 100 MiB/s at a
/// millisecond's distance.
const STREAM_WINDOW: u32 = 128 * 1024;

/// All streams' windows, so that stalled ones leave room for the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;

/// What is buffered of a request's body per stream.
const MAX_SEND_BUFFER: usize = 64 * 1024;

/// How long the answer to a ping may take.
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// More interim responses than this serve nobody.
const MAX_INTERIM: u32 = 32;

impl Connection {
    /// Greets the endpoint and leaves the connection to a task of this worker's runtime, which pings
    /// it every so often while exchanges are under way.
    pub(in crate::upstream) async fn start<S>(
        stream: S,
        target: Target,
        ping_every: Duration,
    ) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (io, traffic) = counted(stream);
        let (sender, mut connection) = client::Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEAD as u32)
            .max_send_buffer_size(MAX_SEND_BUFFER)
            .handshake(io)
            .await
            .map_err(io::Error::other)?;
        let load = Arc::new(Load::default());
        let ping_pong = connection.ping_pong();
        let pinged = Arc::clone(&load);
        tokio::spawn(async move {
            let silent = async {
                match ping_pong {
                    Some(ping_pong) => until_silent(ping_pong, &pinged, ping_every).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "an upstream connection ended");
                },
                () = silent => tracing::debug!("an upstream connection answers no ping"),
            }
        });
        Ok(Self {
            sender,
            traffic,
            target: Arc::new(target),
            load,
        })
    }

    /// True while the endpoint takes further requests here: neither closed nor going away.
    pub(in crate::upstream) fn is_open(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        !self.load.is_distrusted.load(Ordering::Relaxed)
            && matches!(self.sender.poll_ready(&mut cx), Poll::Ready(Ok(())))
    }

    /// True where one more exchange keeps within what both sides allow.
    pub(in crate::upstream) fn has_room(&self) -> bool {
        let most = self.sender.current_max_send_streams().min(MAX_STREAMS);
        self.load.streams() < most
    }

    pub(in crate::upstream) fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// A place for one exchange.
    pub(in crate::upstream) fn stream(&self) -> Stream {
        self.load.streams.fetch_add(1, Ordering::Relaxed);
        self.load.served.fetch_add(1, Ordering::Relaxed);
        Stream {
            sender: self.sender.clone(),
            traffic: Arc::clone(&self.traffic),
            target: Arc::clone(&self.target),
            place: Place(Arc::clone(&self.load)),
        }
    }
}

impl Load {
    /// Exchanges under way.
    pub(in crate::upstream) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// Exchanges that were ever begun.
    pub(in crate::upstream) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Stream {
    pub(super) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    pub(super) fn distrust(&self) {
        self.place.0.is_distrusted.store(true, Ordering::Relaxed);
    }

    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, SendError> {
        let (mut parts, body) = request.into_parts();
        parts.version = Version::HTTP_2;
        parts.uri = self.target.uri(parts.uri, &mut parts.headers);
        remove_connection_fields(&mut parts.headers);
        let is_whole = body.is_end_stream();
        let request = Request::from_parts(parts, ());
        let (response, stream) = self
            .sender
            .send_request(request, is_whole)
            .map_err(|error| failed(&error))?;
        let pump = (!is_whole).then(|| Pump::start(body, stream));
        let response = head(response).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // There is no such thing here (RFC 9113 §8.6).
            return Err(malformed());
        }
        Ok(response.map(|stream| ResponseBody::Http2(Received::new(stream, pump))))
    }
}

impl Target {
    /// The absolute form, from which the pseudo-header fields are made; `Host` becomes the authority.
    fn uri(&self, uri: Uri, headers: &mut HeaderMap) -> Uri {
        let authority = headers
            .remove(header::HOST)
            .and_then(|host| Authority::try_from(host.as_bytes()).ok())
            .or_else(|| self.authority.clone());
        let path = uri.into_parts().path_and_query;
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = Some(path.unwrap_or(PathAndQuery::from_static("/")));
        if authority.is_some() {
            parts.scheme = Some(match self.scheme {
                Scheme::Http => http::uri::Scheme::HTTP,
                Scheme::Https => http::uri::Scheme::HTTPS,
            });
            parts.authority = authority;
        }
        Uri::from_parts(parts).unwrap_or_default()
    }
}

/// Waits for the response's head, passing over interim ones.
async fn head(mut response: ResponseFuture) -> Result<Response<RecvStream>, SendError> {
    let mut interim = 0;
    poll_fn(|cx| {
        loop {
            match response.poll_informational(cx) {
                Poll::Ready(Some(Ok(_))) if interim < MAX_INTERIM => interim += 1,
                Poll::Ready(Some(Ok(_))) => return Poll::Ready(Err(malformed())),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(failed(&error))),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Pin::new(&mut response)
            .poll(cx)
            .map_err(|error| failed(&error))
    })
    .await
}

/// What frames the message or describes the connection in HTTP/1.1 (RFC 9113 §8.2.2).
fn remove_connection_fields(headers: &mut HeaderMap) {
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
    if headers.get(header::TE).is_some_and(|te| te != "trailers") {
        headers.remove(header::TE);
    }
}

fn malformed() -> SendError {
    SendError {
        request: None,
        why: Broken::Malformed,
    }
}

fn failed(error: &h2::Error) -> SendError {
    tracing::debug!(%error, "an exchange failed");
    let is_refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    // To a stream that it may have processed a GOAWAY is no error.
    let why = if error.is_remote() && (is_refused || error.is_go_away()) {
        Broken::Unprocessed
    } else if error.is_library() {
        Broken::Malformed
    } else {
        Broken::Closed
    };
    SendError { request: None, why }
}

/// Completes when a ping is not answered.
async fn until_silent(mut ping_pong: PingPong, load: &Load, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        if load.streams() == 0 {
            continue;
        }
        let pong = ping_pong.ping(Ping::opaque());
        match tokio::time::timeout(PONG_WITHIN.min(every), pong).await {
            Ok(Ok(_)) => {}
            // An error is the connection's end, which its own task sees, too.
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
