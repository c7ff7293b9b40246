//! An upstream's response body on its way to the client.
//!
//! Invariant: the connection goes back to its pool only when the response ended completely; a body
//! that breaks off, stalls or is abandoned takes its connection with it. Until the last byte the
//! request counts as in flight.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::body::BodySource;
use crate::headers;
use crate::upstream::{BrokenOff, InFlight, Link, Place, ResponseBody};

/// What an exchange holds until it is over.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(super) link: Option<Link>,
    pub(super) worker: usize,
    pub(super) in_flight: InFlight,
    /// The place in the bulkhead, given by the forwarder to the answer that it hands out.
    pub(super) place: Option<Place>,
    /// The answer began before the request was over: servers close after such an answer, and often
    /// without saying so.
    pub(super) is_early: bool,
    /// The answer refuses a request with a body: servers that do so without having read it close, too.
    pub(super) is_refusal: bool,
    pub(super) request: BodySource,
}

/// The response's body, with what was already read of it in front.
#[derive(Debug)]
pub(crate) struct Relay {
    prefix: Option<Bytes>,
    incoming: ResponseBody,
    lease: Option<Lease>,
    idle_timeout: Duration,
    /// Since when the upstream owes the next byte; a client that does not read is not its fault.
    waiting_since: Option<Instant>,
    stalled: Option<Pin<Box<Sleep>>>,
}

/// Why a response broke off; the client sees its connection closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    /// The upstream closed or broke the framing.
    #[error("the upstream's body broke off: {0}")]
    Upstream(#[from] BrokenOff),
    /// No byte came for `idle_timeout`.
    #[error("the upstream's body stalled")]
    Stalled,
    /// An encoder ran out of memory.
    #[error("the upstream's body could not be compressed: {0}")]
    Compression(std::io::Error),
}

impl Relay {
    /// `holds` keeps the lease although the body is over: the connection changes its protocol.
    pub(super) fn new(
        incoming: ResponseBody,
        lease: Lease,
        idle_timeout: Duration,
        holds: bool,
    ) -> Self {
        let mut relay = Self {
            prefix: None,
            incoming,
            lease: Some(lease),
            idle_timeout,
            waiting_since: None,
            stalled: None,
        };
        if !holds {
            relay.release_at_end();
        }
        relay
    }

    /// Gives the bulkhead's place to whoever holds the answer.
    pub(super) fn hold(&mut self, place: Place) {
        if let Some(lease) = &mut self.lease {
            lease.place = Some(place);
        }
    }

    /// Reads at most `limit` bytes without taking them away. True when that was the whole body.
    pub(super) async fn peek(&mut self, limit: usize) -> Result<(Bytes, bool), RelayError> {
        let mut read = Vec::new();
        let is_whole = loop {
            if read.len() > limit {
                break false;
            }
            let frame = std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await;
            match frame {
                None => break true,
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => read.extend_from_slice(&data),
                    // Trailers end a body; a problem's carry nothing that anybody reads.
                    Err(_) => break true,
                },
                Some(Err(error)) => return Err(error),
            }
        };
        let read = Bytes::from(read);
        if !read.is_empty() {
            self.prefix = Some(read.clone());
        }
        Ok((read, is_whole))
    }

    /// Gives up the exchange; the endpoint is to blame unless the client's own body broke off.
    fn break_off(&mut self) {
        if let Some(lease) = self.lease.take()
            && lease.request.failure().is_none()
        {
            let now = std::time::Instant::now();
            lease.in_flight.endpoint().broke_off(now);
        }
    }

    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.release();
        }
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let deadline = since + self.idle_timeout;
        let sleep = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        loop {
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // The timer is left alone while bytes flow; only when it fires is it asked whether
            // any came since it was set.
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        let this = self.get_mut();
        if let Some(prefix) = this.prefix.take() {
            return Poll::Ready(Some(Ok(Frame::data(prefix))));
        }
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Pending => match this.poll_stalled(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => {
                    this.break_off();
                    Poll::Ready(Some(Err(RelayError::Stalled)))
                }
            },
            Poll::Ready(None) => {
                if let Some(lease) = this.lease.take() {
                    lease.release();
                }
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(frame))) => {
                this.waiting_since = None;
                this.release_at_end();
                Poll::Ready(Some(Ok(without_reserved(frame))))
            }
            Poll::Ready(Some(Err(error))) => {
                this.break_off();
                Poll::Ready(Some(Err(error.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.prefix.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.incoming.size_hint();
        match (&self.prefix, rest.exact()) {
            (None, _) => rest,
            (Some(prefix), Some(rest)) => SizeHint::with_exact(rest + prefix.len() as u64),
            (Some(_), None) => SizeHint::default(),
        }
    }
}

impl Lease {
    /// The response is complete: its connection may serve the next request.
    fn release(mut self) {
        let Some(Link::Http1(mut link)) = self.link.take() else {
            // A stream was all there was; its connection serves others meanwhile.
            return;
        };
        if self.is_early || !self.request.is_ended() {
            // Answered before it was asked completely: what is left of the request would be read
            // as the next one.
            return;
        }
        let (worker, may_close) = (self.worker, self.is_refusal);
        let endpoint = self.in_flight.endpoint();
        if link.is_ready() {
            endpoint.pool().put(worker, link, may_close);
            return;
        }
        let endpoint = std::sync::Arc::clone(endpoint);
        // The connection's task has still to notice the end; it does so within this poll or the
        // next, or the upstream said that it will close.
        tokio::spawn(async move {
            let ready = tokio::time::timeout(READY_WITHIN, link.ready());
            if let Ok(true) = ready.await {
                endpoint.pool().put(worker, link, may_close);
            }
        });
    }
}

/// A connection that is not ready this long after its response ended never will be.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// Trailers are headers that come late: the same names are ours alone.
fn without_reserved(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            headers::remove_hop_by_hop(&mut trailers);
            headers::remove_own(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}
