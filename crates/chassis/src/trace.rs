//! W3C trace context of the request at hand, and the correlation id that goes with it.

use std::{fmt, future::Future};

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header that carries the bare trace id.
pub const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
/// The W3C header.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// One trace and the span that is current in it. The trace id, read as a UUID, is the correlation
/// id of every event that the request causes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    flags: u8,
}

impl TraceContext {
    /// A new trace with a new span.
    pub fn generate() -> Self {
        Self {
            trace: Uuid::now_v7().as_u128(),
            span: random_span(),
            flags: 1,
        }
    }

    /// Continues the caller's trace with a new span: `traceparent` first, then `X-Trace-ID`
    /// (32 hexadecimal digits, or a UUID); a new trace when neither is valid.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(parent) = text(&TRACEPARENT).and_then(Self::parse) {
            return Self {
                span: random_span(),
                ..parent
            };
        }
        let bare = text(&X_TRACE_ID).and_then(|id| Uuid::try_parse(id).ok());
        match bare.filter(|id| !id.is_nil()) {
            Some(id) => Self::from_correlation(id),
            None => Self::generate(),
        }
    }

    /// Continues the trace that a correlation id names.
    pub fn from_correlation(id: Uuid) -> Self {
        Self {
            trace: id.as_u128(),
            span: random_span(),
            flags: 1,
        }
    }

    /// Reads a `traceparent` of version 00 or later (W3C Trace Context, section 3.2).
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |part: &str, length: usize| {
            part.len() == length
                && part
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let whole = hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
        if !whole || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16)
            .ok()
            .filter(|trace| *trace != 0)?;
        let span = u64::from_str_radix(span, 16)
            .ok()
            .filter(|span| *span != 0)?;
        Some(Self {
            trace,
            span,
            flags: u8::from_str_radix(flags, 16).ok()?,
        })
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The trace id as a UUID.
    pub fn correlation_id(&self) -> Uuid {
        Uuid::from_u128(self.trace)
    }

    /// The context of the request that this task is working for.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|context| *context).ok()
    }

    /// The current context, or a new trace for work that no request asked for.
    pub fn current_or_new() -> Self {
        Self::current().unwrap_or_else(Self::generate)
    }

    /// Makes this the current context of `work`.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// Writes both headers for the next hop.
    pub fn inject(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.to_string()) {
            headers.insert(TRACEPARENT, value);
        }
        if let Ok(value) = HeaderValue::from_str(&self.trace_id()) {
            headers.insert(X_TRACE_ID, value);
        }
    }
}

/// The `traceparent` text.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace, self.span, self.flags
        )
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A UUIDv4's low half is random but for two bits, so it is never zero.
fn random_span() -> u64 {
    let bytes = Uuid::new_v4().as_u128();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low half is what is wanted"
    )]
    let low = bytes as u64;
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_survives_the_round_trip() {
        assert_eq!(TraceContext::parse(PARENT).unwrap().to_string(), PARENT);
    }

    #[test]
    fn malformed_traceparents_are_not_continued() {
        for text in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_next_hop_gets_the_same_trace_and_another_span() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(PARENT));
        let context = TraceContext::from_headers(&headers);
        assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(context.to_string(), PARENT);
    }

    #[test]
    fn a_bare_trace_id_is_continued() {
        let mut headers = HeaderMap::new();
        headers.insert(
            X_TRACE_ID,
            HeaderValue::from_static("0af7651916cd43dd8448eb211c80319c"),
        );
        let context = TraceContext::from_headers(&headers);
        assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
    }
}
