//! W3C trace context of the request at hand, the correlation id that goes with it, and the spans
//! that tell where its time went.

mod export;
mod queue;
mod sampling;
mod span;
#[cfg(test)]
mod tests;

use std::{fmt, future::Future};

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

pub(crate) use self::export::{finish, start};
pub use self::span::{Kind, Origin, Span, Tracer, method};

/// The header that carries the bare trace id.
pub const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
/// The W3C header.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

tokio::task_local! {
    static CURRENT: TraceContext;
    /// What makes the spans of the part that this task works for.
    static PART: Tracer;
}

/// `traceparent`'s flag of a trace that is recorded.
const SAMPLED: u8 = 1;

/// One trace and the span that is current in it. The trace id, read as a UUID, is the correlation
/// id of every event that the request causes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    flags: u8,
}

impl TraceContext {
    /// These ids and flags, as a `traceparent` has them.
    pub const fn new(trace: u128, span: u64, flags: u8) -> Self {
        Self { trace, span, flags }
    }

    /// A new trace with a new span.
    pub fn generate() -> Self {
        Self::root(Uuid::now_v7().as_u128())
    }

    /// A new span that begins this trace.
    fn root(trace: u128) -> Self {
        Self {
            trace,
            span: random_span(),
            flags: SAMPLED,
        }
    }

    /// The same trace with a new span.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            span: random_span(),
            ..self
        }
    }

    /// Continues the caller's trace with a new span: `traceparent` first, then `X-Trace-ID`
    /// (32 hexadecimal digits, or a UUID); a new trace when neither is valid.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Origin::of_headers(headers).context()
    }

    /// The caller's own span, where its `traceparent` is valid.
    fn parent_of(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get(TRACEPARENT)?.to_str().ok()?)
    }

    /// The trace that `X-Trace-ID` names, where it names one.
    fn trace_of(headers: &HeaderMap) -> Option<u128> {
        let bare = headers.get(X_TRACE_ID)?.to_str().ok()?;
        let id = Uuid::try_parse(bare).ok().filter(|id| !id.is_nil())?;
        Some(id.as_u128())
    }

    /// Continues the trace that a correlation id names.
    pub fn from_correlation(id: Uuid) -> Self {
        Self::root(id.as_u128())
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

    /// Trace id, span id and flags.
    pub const fn ids(&self) -> (u128, u64, u8) {
        (self.trace, self.span, self.flags)
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// 16 hexadecimal digits.
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span)
    }

    /// Whether the trace is recorded, as was decided at its head.
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Whether both are of one trace.
    pub const fn is_beside(&self, other: &Self) -> bool {
        self.trace == other.trace
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
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        // No `async fn`: its future would have room for the work twice.
        CURRENT.scope(self, work)
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
