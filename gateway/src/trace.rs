//! The request's trace identity: W3C `traceparent` in and out, `X-Trace-ID` beside it.
//!
//! Invariant: every request has exactly one trace id of 32 lower-case hexadecimal digits, whatever
//! the client sent; a malformed header starts a new trace instead of being passed on
//! (W3C Trace Context, §3.2).

use std::fmt;

use bytes::Bytes;
use chassis::trace::{Origin, TraceContext};
pub use chassis::trace::{TRACEPARENT, X_TRACE_ID};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Vendor state that belongs to a `traceparent` and is worthless without it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The trace that one request belongs to, and the gateway's own span in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    id: u128,
    /// The client's own span, where it sent one.
    parent: Option<u64>,
    span: u64,
    flags: u8,
}

/// A trace as headers have it. Both values are of one piece of memory, and so are their copies: a request
/// has four of each.
#[derive(Debug, Clone)]
pub struct Written {
    /// The value of `X-Trace-ID`.
    pub id: HeaderValue,
    /// The value of `traceparent`.
    pub traceparent: HeaderValue,
}

impl Trace {
    /// Continues the client's trace, or starts one with `fresh`.
    pub fn from_headers(headers: &HeaderMap, fresh: impl FnOnce() -> u128, span: u64) -> Self {
        let (id, parent, flags) = match Origin::named_by(headers) {
            Some(Origin::Child(parent)) => {
                let (id, parent, flags) = parent.ids();
                (id, Some(parent), flags)
            }
            Some(Origin::Root(id)) => (id, None, SAMPLED),
            None => (fresh().max(1), None, SAMPLED),
        };
        Self {
            id,
            parent,
            span: span.max(1),
            flags,
        }
    }

    /// Where a span for this request comes from.
    pub fn origin(&self) -> Origin {
        match self.parent {
            Some(parent) => Origin::Child(TraceContext::new(self.id, parent, self.flags)),
            None => Origin::Root(self.id),
        }
    }

    /// The same request, with the span that was made for it.
    #[must_use]
    pub fn with_span(self, span: TraceContext) -> Self {
        let (id, span, flags) = span.ids();
        Self {
            id,
            span,
            flags,
            ..self
        }
    }

    /// This gateway's span, as a parent.
    pub const fn context(&self) -> TraceContext {
        TraceContext::new(self.id, self.span, self.flags)
    }

    /// A trace id for a request that brought none: time-ordered like the UUIDv7 that it is, since
    /// services keep it as the correlation id of events and index it.
    pub fn fresh_id(since_epoch: std::time::Duration, random: [u8; 10]) -> u128 {
        let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        uuid::Builder::from_unix_timestamp_millis(millis, &random)
            .into_uuid()
            .as_u128()
    }

    /// As headers have it, with this gateway's span as the parent.
    pub fn written(&self) -> Written {
        let text = Bytes::from_owner(text(&self.context()));
        Written {
            id: ascii(text.slice(ID)),
            traceparent: ascii(text),
        }
    }
}

impl Written {
    /// Writes the context for the next hop.
    pub fn inject(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(TRACEPARENT) {
            // Without its traceparent a tracestate describes nothing.
            headers.remove(TRACESTATE);
        }
        self.insert(headers);
    }

    /// Tells which trace a message belongs to.
    pub fn insert(&self, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, self.traceparent.clone());
        headers.insert(X_TRACE_ID, self.id.clone());
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.id)
    }
}

const SAMPLED: u8 = 1;

/// Where the trace's id stands in a `traceparent`.
const ID: std::ops::Range<usize> = 3..35;

/// The value of `traceparent` with this span as the parent.
pub(crate) fn traceparent(context: &TraceContext) -> HeaderValue {
    ascii(Bytes::from_owner(text(context)))
}

fn text(context: &TraceContext) -> [u8; 55] {
    let (id, span, flags) = context.ids();
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    write_hex(&mut text[ID], &id.to_be_bytes());
    write_hex(&mut text[36..52], &span.to_be_bytes());
    write_hex(&mut text[53..55], &[flags]);
    text
}

fn write_hex(text: &mut [u8], octets: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, octet) in text.chunks_exact_mut(2).zip(octets) {
        pair[0] = DIGITS[usize::from(octet >> 4)];
        pair[1] = DIGITS[usize::from(octet & 15)];
    }
}

fn ascii(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: u128 = 0x0123;
    const INCOMING: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn trace(name: &'static str, value: &str) -> Trace {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        Trace::from_headers(&headers, || FRESH, 7)
    }

    #[test]
    fn a_valid_traceparent_is_continued_with_a_span_of_our_own() {
        let trace = trace("traceparent", INCOMING);
        assert_eq!(trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(
            trace.written().traceparent,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01"
        );
    }

    #[test]
    fn a_trace_id_alone_is_enough_to_join_a_trace() {
        for written in [
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "4BF92F35-77B3-4DA6-A3CE-929D0E0E4736",
        ] {
            let trace = trace("x-trace-id", written);
            assert_eq!(trace.written().id, "4bf92f3577b34da6a3ce929d0e0e4736");
        }
        assert_eq!(
            trace("x-trace-id", "mine").to_string(),
            format!("{FRESH:032x}")
        );
    }

    #[test]
    fn fresh_ids_sort_by_time() {
        let at = |millis| Trace::fresh_id(std::time::Duration::from_millis(millis), [9; 10]);
        assert!(at(1_700_000_000_000) < at(1_700_000_000_001));
    }

    #[test]
    fn malformed_contexts_start_a_new_trace() {
        for value in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            let id = trace("traceparent", value).to_string();
            assert_eq!(id, "00000000000000000000000000000123", "{value}");
        }
    }

    #[test]
    fn a_future_version_is_read_as_far_as_it_is_known() {
        let value = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more";
        let trace = trace("traceparent", value);
        assert_eq!(trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn tracestate_without_its_context_is_dropped() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
        let trace = Trace::from_headers(&headers, || FRESH, 7);
        trace.written().inject(&mut headers);
        assert!(!headers.contains_key(TRACESTATE));
        assert!(headers.contains_key(TRACEPARENT));
    }
}
