//! Compressing an upstream's answer on its way to the client.
//!
//! Invariant: nothing is held back. What the upstream has sent goes out compressed as soon as it
//! pauses, and a body is never gathered: at most one frame of it is in the encoder.
//!
//! There is a bound to the encoders at once, since each holds far more than the rest of a request: beyond
//! it an answer goes out as it is.
//!
//! The encoders are driven here and not by tower-http's layer, which would box the body's errors
//! (and with them which side broke off), leave strong ETags on bytes that they do not name, and
//! compress what `no-transform` forbids.

mod encoder;
mod tags;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request};
use http_body::{Body, Frame};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reply::ReplyBody;
use crate::config::{Coding, Compress};
use crate::forward::{Relay, RelayError};
use crate::headers;
use crate::stats::RouteStats;
use encoder::Encoder;
pub(crate) use encoder::MOST;
pub(super) use tags::strengthen;

/// An answer's body, compressed.
#[derive(Debug)]
pub(super) struct Compressed {
    relay: Relay,
    /// Absent once all was compressed.
    encoder: Option<Encoder>,
    /// The encoder holds something that the client has not got.
    is_dirty: bool,
    trailers: Option<HeaderMap>,
    /// Among the encoders that there may be.
    _place: OwnedSemaphorePermit,
}

/// So much of a body is compressed in one go, when that gives nothing to send yet, before other
/// connections of this worker have their turn.
const TURN: usize = 256 * 1024;

/// Digests of the bytes as they were (RFC 9530, and what came before it).
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// The coding that suits both, if the request may be answered with one.
pub(super) fn negotiate(rules: &Compress, request: &request::Parts) -> Option<Coding> {
    let headers = &request.headers;
    let is_plain = request.method != Method::HEAD
        && !headers.contains_key(header::RANGE)
        && !has_directive(headers, "no-transform");
    if !is_plain {
        return None;
    }
    let weight = |coding: Coding| weight(headers, coding.as_str());
    let mut best: Option<(Coding, u16)> = None;
    for coding in &rules.codings {
        let weight = weight(*coding);
        // The first of the route's order, unless the client likes a later one better.
        if weight > 0 && best.is_none_or(|(_, most)| weight > most) {
            best = Some((*coding, weight));
        }
    }
    best.map(|(coding, _)| coding)
}

/// An encoder, while there may be one more.
fn encoder(
    coding: Coding,
    places: &Arc<Semaphore>,
    stats: &RouteStats,
) -> Option<(Encoder, OwnedSemaphorePermit)> {
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        stats.record_left_plain();
        return None;
    };
    Some((Encoder::new(coding)?, place))
}

/// Compresses an answer where it is worth it, and tells caches that it depends on the request.
pub(super) fn answer(
    rules: &Compress,
    coding: Option<Coding>,
    places: &Arc<Semaphore>,
    stats: &RouteStats,
    response: Response<Relay>,
) -> Response<ReplyBody> {
    let (mut parts, relay) = response.into_parts();
    if parts.status == StatusCode::NOT_MODIFIED {
        confirm(rules, coding, &mut parts.headers);
    }
    if !is_eligible(rules, &parts) {
        return Response::from_parts(parts, ReplyBody::relayed(relay));
    }
    headers::vary_by(&mut parts.headers, &header::ACCEPT_ENCODING);
    let chosen = coding.and_then(|coding| Some((coding, encoder(coding, places, stats)?)));
    let Some((coding, (encoder, place))) = chosen else {
        return Response::from_parts(parts, ReplyBody::relayed(relay));
    };
    let headers = &mut parts.headers;
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    let name = HeaderValue::from_static(coding.as_str());
    headers.insert(header::CONTENT_ENCODING, name);
    tags::weaken(headers);
    let body = Compressed {
        relay,
        encoder: Some(encoder),
        is_dirty: false,
        trailers: None,
        _place: place,
    };
    Response::from_parts(parts, ReplyBody::compressed(body))
}

/// Tells a 304 as the answer that it stands for was told: a cache looks for that by its tag, and keeps
/// what is told now. Where it does not say of what type that is, it may have been compressed.
fn confirm(rules: &Compress, coding: Option<Coding>, headers: &mut HeaderMap) {
    let has_type = headers.contains_key(header::CONTENT_TYPE);
    if is_left_alone(headers) || has_type && !is_listed(rules, headers) {
        return;
    }
    headers::vary_by(headers, &header::ACCEPT_ENCODING);
    if coding.is_some() {
        tags::weaken(headers);
    }
}

fn is_eligible(rules: &Compress, parts: &Parts) -> bool {
    let headers = &parts.headers;
    let has_whole_body = !parts.status.is_informational()
        && !matches!(
            parts.status,
            StatusCode::NO_CONTENT | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
        )
        && !headers.contains_key(header::CONTENT_RANGE);
    has_whole_body
        && !is_left_alone(headers)
        && is_long(rules, headers)
        && is_listed(rules, headers)
}

/// Compressed already, or not to be.
fn is_left_alone(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_ENCODING)
        || has_directive(headers, "no-transform")
        || DIGESTS.iter().any(|name| headers.contains_key(name))
}

fn is_long(rules: &Compress, headers: &HeaderMap) -> bool {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    length.is_none_or(|length| length >= u64::from(rules.min_size))
}

fn is_listed(rules: &Compress, headers: &HeaderMap) -> bool {
    let Some(essence) = headers::content_type(headers) else {
        return false;
    };
    // Their messages are read one by one as they come, and gRPC's have a compression of their own.
    let is_stream = essence.eq_ignore_ascii_case(headers::EVENT_STREAM)
        || essence
            .get(..16)
            .is_some_and(|start| start.eq_ignore_ascii_case("application/grpc"));
    !is_stream && rules.types.iter().any(|it| it.contains(essence))
}

fn has_directive(headers: &HeaderMap, wanted: &str) -> bool {
    headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case(wanted))
}

/// How much the client likes a coding, in thousandths; 0 where it does not take it
/// (RFC 9110 §12.5.3). Without the header nothing is compressed: many programs send none.
fn weight(headers: &HeaderMap, coding: &str) -> u16 {
    let mut of_all = 0;
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    for item in values.flat_map(|value| value.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_named = name.eq_ignore_ascii_case(coding)
            || (coding == "gzip" && name.eq_ignore_ascii_case("x-gzip"));
        if is_named {
            return parts.find_map(thousandths).unwrap_or(1000);
        }
        if name == "*" {
            of_all = parts.find_map(thousandths).unwrap_or(1000);
        }
    }
    of_all
}

/// `q=0.5` in thousandths; a weight that is none counts as 0, the cautious reading.
fn thousandths(parameter: &str) -> Option<u16> {
    let (name, weight) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let weight = weight.trim();
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    let is_number = decimals.len() <= 3 && decimals.bytes().all(|it| it.is_ascii_digit());
    Some(match whole {
        "1" if is_number => 1000,
        "0" if is_number => format!("{decimals:0<3}").parse().unwrap_or(0),
        _ => 0,
    })
}

impl Compressed {
    /// Compresses until there is something to send, or nothing left to compress.
    fn poll_encoded(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, RelayError>>> {
        let mut taken = 0;
        loop {
            let Some(encoder) = &mut self.encoder else {
                return Poll::Ready(None);
            };
            let frame = match Pin::new(&mut self.relay).poll_frame(cx) {
                Poll::Pending if !self.is_dirty => return Poll::Pending,
                Poll::Pending => {
                    self.is_dirty = false;
                    let flushed = encoder.flush().map_err(RelayError::Compression)?;
                    return Poll::Ready(Some(Ok(flushed)));
                }
                Poll::Ready(frame) => frame.transpose()?,
            };
            let data = match frame.map(Frame::into_data) {
                Some(Ok(data)) => data,
                other => {
                    self.trailers = match other {
                        Some(Err(frame)) => frame.into_trailers().ok(),
                        _ => None,
                    };
                    let rest = self.encoder.take().map(Encoder::finish).transpose();
                    return Poll::Ready(rest.map_err(RelayError::Compression).transpose());
                }
            };
            taken += data.len();
            self.is_dirty = true;
            let encoded = encoder.encode(&data).map_err(RelayError::Compression)?;
            if let Some(encoded) = encoded {
                return Poll::Ready(Some(Ok(encoded)));
            }
            if taken >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}

impl Body for Compressed {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        let this = self.get_mut();
        match this.poll_encoded(cx) {
            Poll::Ready(None) => Poll::Ready(this.trailers.take().map(Frame::trailers).map(Ok)),
            Poll::Ready(Some(encoded)) => Poll::Ready(Some(encoded.map(Frame::data))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accepts: &[&str]) -> Option<&'static str> {
        let rules = Compress {
            codings: vec![Coding::Brotli, Coding::Zstd, Coding::Gzip],
            min_size: 1,
            types: Vec::new(),
        };
        let mut request = http::Request::new(());
        for accept in accepts {
            let value = accept.parse().unwrap();
            request.headers_mut().append(header::ACCEPT_ENCODING, value);
        }
        negotiate(&rules, &request.into_parts().0).map(Coding::as_str)
    }

    #[test]
    fn there_are_no_more_encoders_at_once_than_there_may_be() {
        let (places, stats) = (Arc::new(Semaphore::new(2)), RouteStats::default());
        let encoder = |coding| encoder(coding, &places, &stats);
        let first = encoder(Coding::Gzip);
        let second = encoder(Coding::Zstd);
        assert!(first.is_some() && second.is_some());
        assert_eq!(stats.snapshot().left_plain, 0);
        assert!(encoder(Coding::Brotli).is_none());
        assert_eq!(stats.snapshot().left_plain, 1);
        drop(first);
        assert!(encoder(Coding::Brotli).is_some());
    }

    #[test]
    fn the_clients_weights_come_before_the_routes_order() {
        for (accepts, expected) in [
            (&[][..], None),
            (&["gzip, deflate, br, zstd"], Some("br")),
            (&["gzip", "zstd"], Some("zstd")),
            (&["gzip;q=1.0, br;q=0.9"], Some("gzip")),
            (&["br;q=0, *"], Some("zstd")),
            (&["*;q=0.1, gzip;q=0.2"], Some("gzip")),
            (&["x-GZIP"], Some("gzip")),
            (&["br;q=0.000, zstd;q=2, gzip;q=0"], None),
            (&["identity"], None),
            (&["deflate"], None),
            (&["br;q=0.1;x=y, gzip;q=0.05"], Some("br")),
        ] {
            assert_eq!(negotiated(accepts), expected, "{accepts:?}");
        }
    }
}
