//! One attempt at one endpoint: a connection, the request, the response's head.

use std::pin::Pin;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tokio::time::Instant;

use super::body::{BodyError, BodySource, RequestBody, WaitingFor};
use super::deadline::{Patience, Time};
use super::relay::{Lease, Relay};
use super::retry::Sent;
use super::{Cause, Failure, Outgoing};
use crate::trace::TRACEPARENT;
use crate::upstream::{
    Broken, ConnectError, Endpoint, InFlight, Link, ResponseBody, SendError, Upstream,
};

/// Sends the request to the endpoint and waits for the response's head.
///
/// A connection from the pool that turns out to be closed costs nothing: as long as no byte was
/// written, the next one is taken, in the end a new one. An endpoint that says it has not looked at
/// the request is asked once more: it closes a connection in good order, or has just told how many
/// streams it takes.
pub(super) async fn run(
    outgoing: &Outgoing<'_>,
    upstream: &Upstream,
    time: &mut Time,
    in_flight: InFlight,
    worker: usize,
    traceparent: Option<HeaderValue>,
) -> Result<Response<Relay>, Failure> {
    let settings = upstream.settings();
    let mut pending: Option<Request<RequestBody>> = None;
    let mut was_unprocessed = false;
    loop {
        let endpoint = in_flight.endpoint();
        let pooled = pooled(outgoing, endpoint, worker).await;
        let is_pooled = pooled.is_some();
        let mut link = match pooled {
            Some(link) => link,
            None => open(upstream, endpoint, worker, time).await?,
        };
        let mut request = pending.take().unwrap_or_else(|| outgoing.request());
        if let Some(traceparent) = &traceparent {
            request
                .headers_mut()
                .insert(TRACEPARENT, traceparent.clone());
        }
        let meter = link.meter();
        let patience = time.head(settings.timeout);
        // Pinned here: each future that takes another by value has room for it twice.
        let answer = {
            let sending = std::pin::pin!(link.send(request));
            head(sending, outgoing.body, patience, time.client()).await
        };
        match answer {
            Ok(Ok(response)) if !may_answer(outgoing, &response) => {
                return Err(failure(Broken::Malformed, Sent::Something, outgoing.body));
            }
            Ok(Ok(response)) => {
                let lease = lease(outgoing, (link, worker), in_flight, response.status());
                let idle_timeout = settings.idle_timeout;
                let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                return Ok(response.map(|body| Relay::new(body, lease, idle_timeout, switches)));
            }
            Ok(Err(SendError { request, why })) => {
                pending = request;
                let is_unprocessed = why == Broken::Unprocessed;
                let sent = match is_unprocessed || meter.is_unmoved() {
                    true => Sent::Nothing,
                    false => Sent::Something,
                };
                let goes_on = match &link {
                    Link::Http1(_) => is_pooled && sent == Sent::Nothing,
                    Link::Http2(_) => sent == Sent::Nothing && !was_unprocessed,
                };
                was_unprocessed = true;
                if goes_on && (pending.is_some() || outgoing.body.can_replay()) {
                    continue;
                }
                return Err(failure(why, sent, outgoing.body));
            }
            // Dropping the exchange closes the connection, or its stream: what would come is not
            // ours any more.
            Err(cause) => {
                if cause == Cause::Timeout {
                    link.distrust();
                }
                let sent = match &link {
                    Link::Http1(_) if meter.is_unmoved() => Sent::Nothing,
                    // A shared connection goes on, and what is queued on it may still be written.
                    Link::Http1(_) | Link::Http2(_) => Sent::Something,
                };
                return Err(Failure { cause, sent });
            }
        }
    }
}

/// A connection that waits for its next request.
async fn pooled(outgoing: &Outgoing<'_>, endpoint: &Endpoint, worker: usize) -> Option<Link> {
    loop {
        let link = endpoint.pool().take(worker, std::time::Instant::now())?;
        match &link {
            Link::Http1(connection) if !outgoing.method.is_idempotent() => {
                // It cannot be sent twice: an end that has come already is noticed first, so that it does
                // not go out over a connection that its endpoint has closed.
                tokio::task::yield_now().await;
                if connection.is_ready() {
                    return Some(link);
                }
            }
            _ => return Some(link),
        }
    }
}

/// What the answer holds until it is over.
fn lease(
    outgoing: &Outgoing<'_>,
    (link, worker): (Link, usize),
    in_flight: InFlight,
    status: StatusCode,
) -> Lease {
    let is_error = status.is_client_error() || status.is_server_error();
    Lease {
        link: Some(link),
        worker,
        in_flight,
        place: None,
        is_early: !outgoing.body.is_ended(),
        is_refusal: is_error && outgoing.body.exists(),
        request: outgoing.body.clone(),
    }
}

/// A new connection, within what is left for it.
async fn open(
    upstream: &Upstream,
    endpoint: &Endpoint,
    worker: usize,
    time: &Time,
) -> Result<Link, Failure> {
    let patience = time.connect(upstream.settings().connect_timeout);
    // On the heap: it is rare, and its handshakes are five times as large as all else of a request.
    let opening = Box::pin(endpoint.open(worker, upstream.dialer()));
    match tokio::time::timeout(patience.within, opening).await {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(Failure {
            cause: patience.cause,
            sent: Sent::Nothing,
        }),
    }
}

/// A switch of protocols is an answer only to who asked for it, and for this one (RFC 9110 §7.8): what
/// follows on that connection would be nobody's.
fn may_answer(outgoing: &Outgoing<'_>, response: &Response<ResponseBody>) -> bool {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return true;
    }
    let text = |headers: &HeaderMap| {
        let value = headers.get(header::UPGRADE)?.to_str().ok()?;
        Some(value.trim().to_ascii_lowercase())
    };
    let (asked, told) = (text(outgoing.headers), text(response.headers()));
    let is_asked_for = |told: String| {
        let mut asked = asked.iter().flat_map(|asked| asked.split(','));
        asked.any(|asked| asked.trim() == told)
    };
    told.is_some_and(is_asked_for)
}

/// Waits for the head, no longer than until the client's own deadline. The clock of `patience` stands
/// still while the client is still sending: it is for the upstream's silence, and the same patience is for
/// the client's.
async fn head(
    mut sending: Pin<&mut impl Future<Output = Result<Response<ResponseBody>, SendError>>>,
    body: &BodySource,
    patience: Patience,
    deadline: Option<std::time::Instant>,
) -> Result<Result<Response<ResponseBody>, SendError>, Cause> {
    let timeout = patience.within;
    let deadline = deadline.map(Instant::from);
    let no_later = |at: Instant| deadline.map_or(at, |deadline| at.min(deadline));
    let started = Instant::now();
    let mut timer = std::pin::pin!(tokio::time::sleep_until(no_later(started + timeout)));
    loop {
        tokio::select! {
            biased;
            outcome = &mut sending => return Ok(outcome),
            () = &mut timer => {}
        }
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(Cause::Deadline);
        }
        let (waiting_for, since) = body.progress().unwrap_or((WaitingFor::Upstream, started));
        if since + timeout > now {
            timer.as_mut().reset(no_later(since + timeout));
            continue;
        }
        return Err(match waiting_for {
            WaitingFor::Client if !body.is_ended() => Cause::ClientTimeout,
            _ => patience.cause,
        });
    }
}

fn failure(why: Broken, sent: Sent, body: &BodySource) -> Failure {
    let cause = match body.failure() {
        Some(BodyError::TooLarge) => Cause::BodyTooLarge,
        Some(BodyError::TooSlow) => Cause::ClientTimeout,
        Some(_) => Cause::ClientGone,
        None if why == Broken::Malformed => Cause::BadResponse,
        None => Cause::Unreachable,
    };
    tracing::debug!(?why, ?cause, ?sent, "an attempt failed");
    Failure { cause, sent }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        tracing::debug!(%error, "no connection to the upstream");
        let cause = match error {
            ConnectError::Failed(_) => Cause::Unreachable,
            ConnectError::TimedOut => Cause::Timeout,
        };
        Self {
            cause,
            sent: Sent::Nothing,
        }
    }
}
