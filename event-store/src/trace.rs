//! The spans of an event's life, and what names the event in log lines.

use chassis::trace::{Kind, Origin, Span, TraceContext, Tracer};
use contracts::{Event, Recorded};
use tracing::Instrument;

/// What `messaging.system` says of the log; the bus has a name of its own.
pub(crate) const SYSTEM: &str = "banyan";

/// The span that wrote an event, where its writer made one.
pub(crate) fn written_by(event: &Event) -> Option<TraceContext> {
    event.traceparent.as_deref().and_then(TraceContext::parse)
}

/// The trace that an event belongs to.
pub(crate) fn context_of(event: &Event) -> TraceContext {
    written_by(event).unwrap_or_else(|| TraceContext::from_correlation(event.correlation_id))
}

/// A span over events that are moved on together; none when none of them is recorded.
pub(crate) fn moving<'a>(
    tracer: Tracer,
    system: &'static str,
    name: &'static str,
    events: impl Iterator<Item = &'a Event> + Clone,
) -> Option<Span> {
    let contexts = events.clone().filter_map(written_by);
    let mut span = tracer.batch(Kind::Producer, name, contexts)?;
    span.set("messaging.system", system);
    span.set("messaging.operation.type", "send");
    set_count(&mut span, events.count());
    Some(span)
}

/// A span over events that a consumer takes into one transaction.
pub(crate) fn handling_many(consumer: &'static str, events: &[&Recorded]) -> Option<Span> {
    let contexts = events.iter().filter_map(|event| written_by(&event.event));
    let mut span = Tracer::here().batch(Kind::Consumer, "process batch", contexts)?;
    span.set("messaging.system", SYSTEM);
    span.set("messaging.operation.type", "process");
    span.set("messaging.consumer.group.name", consumer);
    set_count(&mut span, events.len());
    Some(span)
}

/// The span in which a consumer handles one event: below the one that wrote it.
pub(crate) fn handling(consumer: &'static str, event: &Recorded) -> Span {
    let Recorded {
        position, event, ..
    } = event;
    let origin = match written_by(event) {
        Some(parent) => Origin::Child(parent),
        None => Origin::Root(event.correlation_id.as_u128()),
    };
    let mut span = Tracer::here().begin(Kind::Consumer, origin, || {
        format!("process {}", event.event_type)
    });
    if span.is_recording() {
        describe(&mut span, event);
        span.set("messaging.operation.type", "process");
        span.set("messaging.consumer.group.name", consumer);
        span.set("banyan.event.position", *position);
    }
    span
}

/// The span in which a service writes an event to its outbox, if it will be recorded. Its context
/// is what the event carries.
pub(crate) fn creating(service: &'static str, event: &Event, parent: Origin) -> Option<Span> {
    let tracer = Tracer::here_or(service);
    if !tracer.is_on() {
        return None;
    }
    let mut span = tracer.begin(Kind::Producer, parent, || {
        format!("create {}", event.event_type)
    });
    if span.is_recording() {
        describe(&mut span, event);
        span.set("messaging.operation.type", "create");
    }
    Some(span)
}

fn describe(span: &mut Span, event: &Event) {
    span.set("messaging.system", SYSTEM);
    span.set("messaging.destination.name", event.event_type.clone());
    span.set_text("messaging.message.id", event.id);
    span.set("banyan.event.stream", event.stream.clone());
    span.set("banyan.event.version", event.version);
    if let Some(saga) = event.saga_id {
        span.set_text("banyan.saga.id", saga);
    }
    if let Some(step) = &event.step {
        span.set("banyan.saga.step", step.clone());
    }
}

fn set_count(span: &mut Span, events: usize) {
    let count = i64::try_from(events).unwrap_or(i64::MAX);
    span.set("messaging.batch.message_count", count);
}

/// The line that follows an event to whoever handled it.
pub(crate) async fn handled() {
    tracing::debug!("handled");
}

/// A line for each event of a batch, as if each had been handled by itself.
pub(crate) async fn handled_together(consumer: &'static str, events: &[&Recorded]) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    for event in events {
        let line = context_of(&event.event).scope(handled());
        line.instrument(named(consumer, event)).await;
    }
}

/// What names the event in all log lines that its handling writes.
pub(crate) fn named(consumer: &'static str, event: &Recorded) -> tracing::Span {
    let Recorded {
        position, event, ..
    } = event;
    tracing::error_span!(
        "event", consumer, event_id = %event.id, event_type = event.event_type.as_str(), position
    )
}
