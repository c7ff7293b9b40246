//! Finished spans on their way out: bounded, counted, and never waited for.
//!
//! Invariant: whoever ends a span does a few atomic operations and goes on, whatever the receiver
//! does. A span that finds the queue full is counted and gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// How often a receiver that is away is worth a line.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Why a span did not reach the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Dropped {
    reason: &'static str,
}

const QUEUE_FULL: Dropped = Dropped {
    reason: "queue_full",
};
const EXPORT_FAILED: Dropped = Dropped {
    reason: "export_failed",
};

/// What became of a part's spans.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    exported: Counter,
    dropped: Family<Dropped, Counter>,
}

impl Default for Counts {
    fn default() -> Self {
        let dropped = Family::default();
        for reason in [QUEUE_FULL, EXPORT_FAILED] {
            drop(dropped.get_or_create(&reason));
        }
        Self {
            exported: Counter::default(),
            dropped,
        }
    }
}

impl Counts {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "trace_spans_exported",
            "Spans that the trace receiver took",
            self.exported.clone(),
        );
        registry.register(
            "trace_spans_dropped",
            "Spans that did not reach the trace receiver",
            self.dropped.clone(),
        );
    }

    #[cfg(test)]
    pub(super) fn seen(&self) -> (u64, u64, u64) {
        let dropped = |reason| self.dropped.get_or_create(&reason).get();
        (
            self.exported.get(),
            dropped(QUEUE_FULL),
            dropped(EXPORT_FAILED),
        )
    }
}

/// One part's spans that have ended and are not sent yet.
#[derive(Debug)]
pub(super) struct Queue {
    part: &'static str,
    limit: usize,
    waiting: AtomicUsize,
    counts: Counts,
    began: Instant,
    /// Milliseconds after `began`, plus one; 0 when nothing was said yet.
    said: AtomicU64,
}

impl Queue {
    pub(super) fn new(part: &'static str, limit: usize, counts: Counts) -> Arc<Self> {
        Arc::new(Self {
            part,
            limit,
            waiting: AtomicUsize::new(0),
            counts,
            began: Instant::now(),
            said: AtomicU64::new(0),
        })
    }

    fn dropped(&self, why: Dropped, spans: usize, error: &str) {
        self.counts.dropped.get_or_create(&why).inc_by(spans as u64);
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let said = self.said.load(Ordering::Relaxed);
        let is_due = said == 0 || u128::from(now - said.min(now)) >= SAY_EVERY.as_millis();
        if is_due
            && self
                .said
                .compare_exchange(said, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            tracing::warn!(
                part = self.part,
                reason = why.reason,
                error,
                "spans are lost: the trace receiver does not take them; trace_spans_dropped counts"
            );
        }
    }
}

/// The standard batching processor behind a bound that counts what it turns away.
#[derive(Debug)]
pub(super) struct Bounded {
    pub(super) batches: BatchSpanProcessor,
    pub(super) queue: Arc<Queue>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.queue.waiting.fetch_add(1, Ordering::AcqRel) >= self.queue.limit {
            self.queue.waiting.fetch_sub(1, Ordering::AcqRel);
            self.queue.dropped(QUEUE_FULL, 1, "the queue is full");
        } else {
            self.batches.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// An exporter that counts what it sends and what it loses.
#[derive(Debug)]
pub(super) struct Counted<E> {
    pub(super) exporter: E,
    pub(super) queue: Arc<Queue>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.queue.waiting.fetch_sub(spans, Ordering::AcqRel);
        let result = self.exporter.export(batch).await;
        match &result {
            Ok(()) => {
                self.queue.counts.exported.inc_by(spans as u64);
            }
            Err(error) => self.queue.dropped(EXPORT_FAILED, spans, &error.to_string()),
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
