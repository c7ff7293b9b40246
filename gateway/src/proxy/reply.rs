//! What a client gets: an upstream's response, or a problem of the gateway's own.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use chassis::{Problem, trace::Span};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};

use super::compress::Compressed;
use super::flip::Closing;
use super::tunnel::Tunnel;
use crate::access_log;
use crate::forward::{Cause, Relay, RelayError};
use crate::grpc;
use crate::load::{Full, Place};
use crate::trace::Trace;

/// The body of a response to a client.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    content: Content,
    /// Ends it before its own end.
    closing: Option<Box<Closing>>,
    /// Writes the request's line when the body is done with.
    log: Option<Box<access_log::Entry>>,
    /// Ends when the body is done with.
    _span: Option<Span>,
    /// The request is under way for as long.
    _place: Option<Place>,
}

#[derive(Debug)]
enum Content {
    Whole(Option<Bytes>),
    Relayed(Relay),
    Compressed(Box<Compressed>),
    /// Nothing: what follows is another protocol.
    Switched(Box<Tunnel>),
}

/// An answer of the gateway's own: a problem, and perhaps when to come back.
#[derive(Debug)]
pub(crate) struct Refusal {
    problem: Problem,
    retry_after: Option<u64>,
    /// The connection's framing is in doubt, or the client should not go on with it.
    closes: bool,
}

impl ReplyBody {
    pub(crate) fn relayed(relay: Relay) -> Self {
        Self {
            content: Content::Relayed(relay),
            closing: None,
            log: None,
            _span: None,
            _place: None,
        }
    }

    pub(super) fn compressed(body: Compressed) -> Self {
        Self {
            content: Content::Compressed(Box::new(body)),
            closing: None,
            log: None,
            _span: None,
            _place: None,
        }
    }

    pub(crate) fn empty() -> Self {
        Self {
            content: Content::Whole(None),
            closing: None,
            log: None,
            _span: None,
            _place: None,
        }
    }

    pub(super) fn switched(tunnel: Tunnel) -> Self {
        Self {
            content: Content::Switched(Box::new(tunnel)),
            ..Self::empty()
        }
    }

    /// The tunnel that follows this answer, once; the request is then under way for as long as that.
    pub(crate) fn take_tunnel(&mut self) -> Option<Tunnel> {
        if !matches!(self.content, Content::Switched(_)) {
            return None;
        }
        match std::mem::replace(&mut self.content, Content::Whole(None)) {
            Content::Switched(tunnel) => Some(tunnel.placed(self._place.take())),
            _ => None,
        }
    }

    pub(super) fn closed_by(mut self, closing: Option<Closing>) -> Self {
        self.closing = closing.map(Box::new);
        self
    }

    pub(crate) fn placed(mut self, place: Option<Place>) -> Self {
        self._place = place;
        self
    }

    pub(crate) fn traced(mut self, span: Span) -> Self {
        self._span = Some(span);
        self
    }

    pub(crate) fn logged(mut self, entry: access_log::Entry) -> Self {
        self.log = Some(Box::new(entry));
        self
    }
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            problem: Problem::with_status(status, code, detail),
            retry_after: None,
            closes: false,
        }
    }

    /// 400, and no further request is read from this connection.
    pub(crate) fn malformed(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            closes: true,
            ..Self::new(StatusCode::BAD_REQUEST, code, detail)
        }
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds.max(1));
        self
    }

    /// The process has as much to do as it may.
    pub(crate) fn overloaded(Full(seconds): Full) -> Self {
        let detail = "The gateway has as many requests under way as it may.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(seconds)
    }

    /// Why an upstream gave no response, in the client's words. `retry_after` is how long its
    /// circuit stays open.
    pub(crate) fn of_failure(cause: Cause, retry_after: u64) -> Self {
        let bad_gateway = |code, detail| Self::new(StatusCode::BAD_GATEWAY, code, detail);
        let unavailable = |code, detail| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(retry_after)
        };
        match cause {
            Cause::Unreachable => bad_gateway(
                "upstream_unreachable",
                "The server behind the gateway cannot be reached, or broke off.",
            ),
            Cause::BadResponse => bad_gateway(
                "upstream_bad_response",
                "The server behind the gateway sent no valid response.",
            ),
            Cause::Timeout | Cause::Deadline => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "The server behind the gateway did not answer in time.",
            ),
            Cause::Overloaded => unavailable(
                "upstream_overloaded",
                "The server behind the gateway has as much to do as it may.",
            )
            .retry_after(1),
            Cause::Open => unavailable(
                "upstream_open",
                "The server behind the gateway failed repeatedly and is left alone for a while.",
            ),
            Cause::Unhealthy => unavailable(
                "upstream_unhealthy",
                "The server behind the gateway fails its health check.",
            ),
            Cause::ClientTimeout => Self {
                closes: true,
                ..Self::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "request_timeout",
                    "The request's body did not arrive in time.",
                )
            },
            Cause::ClientGone => Self::malformed(
                "request_incomplete",
                "The request's body broke off or is not framed correctly.",
            ),
            Cause::BodyTooLarge => Self {
                closes: true,
                ..Self::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "body_too_large",
                    "The request's body is larger than this path takes.",
                )
            },
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.problem.status()
    }

    /// A whole answer in HTTP/1.1, for a client that is not served any further.
    pub(crate) fn text(&self) -> String {
        let body = self.problem.body(None).to_string();
        let status = self.problem.status();
        let retry = self
            .retry_after
            .map(|after| format!("retry-after: {after}\r\n"));
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\n\
             cache-control: no-store\r\nconnection: close\r\n{}content-length: {}\r\n\r\n{body}",
            retry.unwrap_or_default(),
            body.len(),
        )
    }

    /// The answer to a call of gRPC, all of which is in its head.
    pub(crate) fn into_grpc(self) -> Response<ReplyBody> {
        let mut response = Response::new(ReplyBody::empty());
        let (status, problem) = (self.status(), self.problem.body(None));
        let text = |member: &str| problem[member].as_str().unwrap_or_default();
        let message = format!("{}: {}", text("code"), text("detail"));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, grpc::CONTENT_TYPE);
        headers.insert(grpc::GRPC_STATUS, grpc::code(status).into());
        headers.insert(grpc::GRPC_MESSAGE, grpc::message(&message));
        if self.closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    pub(crate) fn into_response(self, trace: &Trace) -> Response<ReplyBody> {
        let body = self.problem.body(Some(&trace.to_string())).to_string();
        let mut response = Response::new(ReplyBody {
            content: Content::Whole(Some(body.into())),
            closing: None,
            log: None,
            _span: None,
            _place: None,
        });
        *response.status_mut() = self.problem.status();
        let headers = response.headers_mut();
        let problem = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, problem);
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.problem.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        let this = self.get_mut();
        if let Some(closing) = &mut this.closing
            && closing.poll(cx).is_ready()
        {
            // The upstream's connection goes with the relay; the client comes back by itself.
            this.content = Content::Whole(None);
            this.closing = None;
        }
        let frame = match &mut this.content {
            Content::Whole(content) => Poll::Ready(
                content
                    .take()
                    .map(|content| Ok::<_, Infallible>(Frame::data(content)))
                    .map(|frame| frame.map_err(|never| match never {})),
            ),
            Content::Relayed(relay) => Pin::new(relay).poll_frame(cx),
            Content::Compressed(body) => Pin::new(&mut **body).poll_frame(cx),
            Content::Switched(_) => Poll::Ready(None),
        };
        if let (Some(log), Poll::Ready(Some(Ok(frame)))) = (&mut this.log, &frame) {
            log.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(content) => content.is_none(),
            Content::Relayed(relay) => relay.is_end_stream(),
            Content::Compressed(body) => body.is_end_stream(),
            Content::Switched(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(content) => {
                SizeHint::with_exact(content.as_ref().map_or(0, |content| content.len() as u64))
            }
            Content::Relayed(relay) => relay.size_hint(),
            Content::Compressed(body) => body.size_hint(),
            Content::Switched(_) => SizeHint::with_exact(0),
        }
    }
}
