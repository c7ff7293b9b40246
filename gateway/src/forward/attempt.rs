//! One attempt at one endpoint: a connection, the request, the response's head.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::Instant;

use super::body::{BodyError, BodySource, RequestBody, WaitingFor};
use super::relay::{Lease, Relay};
use super::retry::Sent;
use super::{Cause, Failure, Outgoing};
use crate::config;
use crate::trace::TRACEPARENT;
use crate::upstream::{ConnectError, InFlight, Link};

/// Sends the request to the endpoint and waits for the response's head.
///
/// A connection from the pool that turns out to be closed costs nothing: as long as no byte was
/// written, the next one is taken, in the end a new one.
pub(super) async fn run(
    outgoing: &Outgoing<'_>,
    settings: &config::Upstream,
    in_flight: InFlight,
    worker: usize,
    traceparent: Option<HeaderValue>,
) -> Result<Response<Relay>, Failure> {
    let mut pending: Option<Request<RequestBody>> = None;
    loop {
        let endpoint = in_flight.endpoint();
        let pooled = endpoint.pool().take(worker, std::time::Instant::now());
        let is_pooled = pooled.is_some();
        let mut link = match pooled {
            Some(link) => link,
            None => Link::open(endpoint.address(), settings.connect_timeout).await?,
        };
        let mut request = pending.take().unwrap_or_else(|| outgoing.request());
        if let Some(traceparent) = &traceparent {
            request
                .headers_mut()
                .insert(TRACEPARENT, traceparent.clone());
        }
        let meter = Meter::start(&link);
        let sending = link.sender.try_send_request(request);
        match head(sending, outgoing.body, settings.timeout).await {
            Ok(Ok(response)) => {
                let lease = Lease {
                    link: Some(link),
                    worker,
                    in_flight,
                    place: None,
                    request: outgoing.body.clone(),
                };
                let idle_timeout = settings.idle_timeout;
                let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                return Ok(response.map(|body| Relay::new(body, lease, idle_timeout, switches)));
            }
            Ok(Err(mut error)) => {
                pending = error.take_message();
                let sent = meter.sent();
                let is_stale = is_pooled && sent == Sent::Nothing;
                if is_stale && (pending.is_some() || outgoing.body.can_replay()) {
                    continue;
                }
                return Err(failure(error.error(), sent, outgoing.body));
            }
            // Dropping the exchange closes the connection: what would come is not ours any more.
            Err(cause) => {
                return Err(Failure {
                    cause,
                    sent: meter.sent(),
                });
            }
        }
    }
}

/// Counts what this exchange writes.
struct Meter {
    written: Arc<AtomicU64>,
    before: u64,
}

impl Meter {
    fn start(link: &Link) -> Self {
        let written = link.written();
        let before = written.load(Ordering::Acquire);
        Self { written, before }
    }

    fn sent(&self) -> Sent {
        if self.written.load(Ordering::Acquire) == self.before {
            Sent::Nothing
        } else {
            Sent::Something
        }
    }
}

/// Waits for the head. The clock stands still while the client is still sending: `timeout` is for
/// the upstream's silence, and the same patience is for the client's.
async fn head(
    sending: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>,
    body: &BodySource,
    timeout: Duration,
) -> Result<Result<Response<Incoming>, TrySendError<Request<RequestBody>>>, Cause> {
    let mut sending = std::pin::pin!(sending);
    let started = Instant::now();
    let mut timer = std::pin::pin!(tokio::time::sleep_until(started + timeout));
    loop {
        tokio::select! {
            biased;
            outcome = &mut sending => return Ok(outcome),
            () = &mut timer => {}
        }
        let (waiting_for, since) = body.progress().unwrap_or((WaitingFor::Upstream, started));
        if since + timeout > Instant::now() {
            timer.as_mut().reset(since + timeout);
            continue;
        }
        return Err(match waiting_for {
            WaitingFor::Client if !body.is_ended() => Cause::ClientTimeout,
            _ => Cause::Timeout,
        });
    }
}

fn failure(error: &hyper::Error, sent: Sent, body: &BodySource) -> Failure {
    let cause = match body.failure() {
        Some(BodyError::TooLarge) => Cause::BodyTooLarge,
        Some(_) => Cause::ClientGone,
        None if error.is_parse() || error.is_parse_too_large() => Cause::BadResponse,
        None => Cause::Unreachable,
    };
    tracing::debug!(%error, ?cause, ?sent, "an attempt failed");
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
