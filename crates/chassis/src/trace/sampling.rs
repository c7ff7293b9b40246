//! Which traces are recorded, decided once at a trace's head, and which ids spans get.

use std::cell::Cell;

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanId, SpanKind, TraceContextExt, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, SamplingDecision, SamplingResult, ShouldSample,
};
use uuid::Uuid;

/// The low bits of a trace id that are random in all ids that come here. (Above them a UUIDv7 may
/// have a counter, and has its variant and its time: a sampler that looked at those would take all
/// traces of a moment or none.)
const RANDOM_BITS: u32 = 32;

/// How many of the traces that begin here are recorded. A trace that began elsewhere is recorded
/// exactly when its head said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// A trace is recorded when its random bits are at or above this.
    threshold: u64,
}

impl Head {
    /// Of all traces, this share; what is beyond 0 to 1 counts as those.
    pub(super) fn share(share: f64) -> Self {
        let all = (1_u64 << RANDOM_BITS) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 2^32"
        )]
        let threshold = ((1.0 - share.clamp(0.0, 1.0)) * all) as u64;
        Self { threshold }
    }

    fn keeps(self, trace: TraceId) -> bool {
        let bytes = trace.to_bytes();
        let random = bytes[12..]
            .iter()
            .fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        random >= self.threshold
    }
}

impl ShouldSample for Head {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        _name: &str,
        _span_kind: &SpanKind,
        _attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let parent = parent_context
            .map(|context| context.span().span_context().clone())
            .filter(opentelemetry::trace::SpanContext::is_valid);
        let keeps = match parent {
            Some(parent) => parent.is_sampled(),
            // Work for many traces is part of what was sampled of them.
            None if !links.is_empty() => links.iter().any(|link| link.span_context.is_sampled()),
            None => self.keeps(trace_id),
        };
        SamplingResult {
            decision: if keeps {
                SamplingDecision::RecordAndSample
            } else {
                SamplingDecision::Drop
            },
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

thread_local! {
    static NEXT: Cell<Option<u128>> = const { Cell::new(None) };
}

/// Whatever root span `make` makes gets this trace id.
pub(super) fn with_trace_id<T>(trace: u128, make: impl FnOnce() -> T) -> T {
    NEXT.set(Some(trace));
    let made = make();
    NEXT.set(None);
    made
}

/// Trace ids as [`with_trace_id`] says, span ids at random.
#[derive(Debug, Default)]
pub(super) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(NEXT.take().unwrap_or_else(|| Uuid::now_v7().as_u128()))
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(share: f64) -> usize {
        let head = Head::share(share);
        (0..2_000)
            .filter(|_| head.keeps(TraceId::from(Uuid::now_v7().as_u128())))
            .count()
    }

    #[test]
    fn a_share_of_traces_with_time_ordered_ids_is_kept() {
        assert_eq!(kept(1.0), 2_000);
        assert_eq!(kept(0.0), 0);
        assert_eq!(kept(-3.0), 0);
        let tenth = kept(0.1);
        assert!((120..300).contains(&tenth), "{tenth} of 2000");
    }
}
