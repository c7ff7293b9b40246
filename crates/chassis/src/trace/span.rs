//! Spans: what a part of the process did, for whom, and how long it took.
//!
//! Invariant: where nothing is exported, or the trace was not sampled at its head, a span is two
//! numbers; names, attributes and links are not even computed.

use std::{borrow::Cow, fmt, future::Future};

use http::{HeaderMap, Method};
use opentelemetry::{
    Context, KeyValue, Value,
    trace::{
        Link, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId,
        TraceState, Tracer as _,
    },
};
use opentelemetry_sdk::trace as sdk;
use prometheus_client::registry::Registry;
use uuid::Uuid;

pub use opentelemetry::trace::SpanKind as Kind;

use super::{
    CURRENT, PART, TraceContext,
    export::{self, Part},
    queue::Counts,
    sampling,
};

/// What makes the spans of one part of a process, as the resource `service.name` tells them apart.
#[derive(Clone, Copy)]
pub struct Tracer(Option<&'static Part>);

/// What spans and metrics call a method: by its own name where it is one of the seven that are in use,
/// else `_OTHER`, as OpenTelemetry's conventions have it, so that no name or label grows with what
/// clients invent.
pub fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

/// Where a span comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody's span, which becomes the parent.
    Child(TraceContext),
    /// Nobody's: the span begins the trace of this id.
    Root(u128),
}

/// A piece of work under way. It ends when it is dropped.
pub struct Span {
    context: TraceContext,
    tracer: Tracer,
    recording: Option<Box<sdk::Span>>,
}

impl Origin {
    /// What a request's headers say: `traceparent` first, then `X-Trace-ID` (32 hexadecimal
    /// digits, or a UUID); a new trace when neither is valid.
    pub fn of_headers(headers: &HeaderMap) -> Self {
        Self::named_by(headers).unwrap_or_else(|| Self::Root(Uuid::now_v7().as_u128()))
    }

    /// As [`Origin::of_headers`]; nothing where the headers name no trace.
    pub fn named_by(headers: &HeaderMap) -> Option<Self> {
        let parent = TraceContext::parent_of(headers).map(Self::Child);
        parent.or_else(|| TraceContext::trace_of(headers).map(Self::Root))
    }

    /// The context of work that makes no span: the same trace, and a span id of its own.
    pub fn context(self) -> TraceContext {
        match self {
            Self::Child(parent) => parent.child(),
            Self::Root(trace) => TraceContext::root(trace),
        }
    }
}

impl Tracer {
    /// One that makes nothing.
    pub const OFF: Self = Self(None);

    pub(super) const fn new(part: &'static Part) -> Self {
        Self(Some(part))
    }

    /// The tracer of the part `service`; the process's own where it runs no such part.
    pub fn of(service: &str) -> Self {
        export::global().map_or(Self::OFF, |export| export.tracer(service))
    }

    /// The tracer of the part that this task works for.
    pub fn here() -> Self {
        PART.try_with(|part| *part).unwrap_or_else(|_| Self::of(""))
    }

    /// As [`Tracer::here`], and the part `service` where no part is known.
    pub fn here_or(service: &str) -> Self {
        PART.try_with(|part| *part)
            .unwrap_or_else(|_| Self::of(service))
    }

    /// Whether spans go anywhere.
    pub const fn is_on(self) -> bool {
        self.0.is_some()
    }

    /// Makes this the tracer of `work`.
    pub fn within<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        PART.scope(self, work)
    }

    /// Begins a span. There is always one, so that its context can be handed on; whether it is
    /// recorded was decided at the trace's head.
    pub fn begin<N: Into<Cow<'static, str>>>(
        self,
        kind: Kind,
        origin: Origin,
        name: impl FnOnce() -> N,
    ) -> Span {
        self.begin_linked(kind, origin, name, &[])
    }

    /// As [`Tracer::begin`], with links to other chains.
    pub fn begin_linked<N: Into<Cow<'static, str>>>(
        self,
        kind: Kind,
        origin: Origin,
        name: impl FnOnce() -> N,
        links: &[TraceContext],
    ) -> Span {
        let is_wanted = !matches!(origin, Origin::Child(parent) if !parent.is_sampled());
        let made = self
            .0
            .filter(|_| is_wanted)
            .map(|part| make(part, kind, origin, name().into(), links));
        match made {
            // A provider that was shut down gives spans without an id, which nobody may follow.
            Some(span) if is_valid(&span) => Span {
                context: context_of(&span),
                tracer: self,
                recording: is_recording(&span).then(|| Box::new(span)),
            },
            _ => Span {
                context: origin.context(),
                tracer: self,
                recording: None,
            },
        }
    }

    /// A span below `parent`, if it will be recorded.
    pub fn child<N: Into<Cow<'static, str>>>(
        self,
        kind: Kind,
        parent: TraceContext,
        name: impl FnOnce() -> N,
    ) -> Option<Span> {
        let is_wanted = self.is_on() && parent.is_sampled();
        is_wanted.then(|| self.begin(kind, Origin::Child(parent), name))
    }

    /// A span over work for many at once, linked to each that is sampled; in their trace when all
    /// are of one trace, else in a trace of its own. None when none of them is sampled.
    pub fn batch(
        self,
        kind: Kind,
        name: &'static str,
        contexts: impl IntoIterator<Item = TraceContext>,
    ) -> Option<Span> {
        if !self.is_on() {
            return None;
        }
        let links: Vec<TraceContext> = contexts
            .into_iter()
            .filter(|context| context.is_sampled())
            .collect();
        let (first, others) = links.split_first()?;
        let is_one_trace = others.iter().all(|other| other.trace == first.trace);
        let origin = if is_one_trace {
            Origin::Child(*first)
        } else {
            Origin::Root(TraceContext::generate().trace)
        };
        Some(self.begin_linked(kind, origin, || name, &links))
    }

    /// Adds this part's counters of spans to its metrics.
    pub fn register(self, registry: &mut Registry) {
        match self.0 {
            Some(part) => part.counts.register(registry),
            // So that the names are there, whether or not anything is exported.
            None => Counts::default().register(registry),
        }
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.map_or("off", |part| part.name);
        f.debug_tuple("Tracer").field(&name).finish()
    }
}

impl Span {
    /// What the next hop, and every event that this work writes, has as its parent.
    pub const fn context(&self) -> TraceContext {
        self.context
    }

    /// Whether attributes go anywhere; asked before computing an expensive one.
    pub const fn is_recording(&self) -> bool {
        self.recording.is_some()
    }

    /// Sets an attribute.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.recording {
            opentelemetry::trace::Span::set_attribute(&mut **span, KeyValue::new(key, value));
        }
    }

    /// Sets an attribute to a text that is only written where it goes somewhere.
    pub fn set_text(&mut self, key: &'static str, value: impl fmt::Display) {
        if self.is_recording() {
            self.set(key, value.to_string());
        }
    }

    /// Names it anew, once more is known than at its beginning.
    pub fn rename<N: Into<Cow<'static, str>>>(&mut self, name: impl FnOnce() -> N) {
        if let Some(span) = &mut self.recording {
            opentelemetry::trace::Span::update_name(&mut **span, name().into());
        }
    }

    /// Says that the work failed, of which kind the error is, and why.
    pub fn fail(&mut self, kind: impl Into<Value>, reason: impl fmt::Display) {
        if let Some(span) = &mut self.recording {
            let status = Status::error(reason.to_string());
            opentelemetry::trace::Span::set_status(&mut **span, status);
            self.set("error.type", kind);
        }
    }

    /// Makes this span's context and part the current ones of `work`.
    pub fn scope<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        PART.scope(self.tracer, CURRENT.scope(self.context, work))
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span")
            .field("context", &self.context)
            .field("recording", &self.is_recording())
            .finish()
    }
}

fn make(
    part: &'static Part,
    kind: Kind,
    origin: Origin,
    name: Cow<'static, str>,
    links: &[TraceContext],
) -> sdk::Span {
    let mut builder = SpanBuilder::from_name(name).with_kind(kind);
    if !links.is_empty() {
        let link = |context: &TraceContext| Link::with_context(remote(*context));
        builder.links = Some(links.iter().map(link).collect());
    }
    match origin {
        Origin::Child(parent) => {
            let parent = Context::new().with_remote_span_context(remote(parent));
            part.tracer.build_with_context(builder, &parent)
        }
        Origin::Root(trace) => sampling::with_trace_id(trace, || {
            part.tracer.build_with_context(builder, &Context::new())
        }),
    }
}

fn remote(context: TraceContext) -> SpanContext {
    SpanContext::new(
        TraceId::from(context.trace),
        SpanId::from(context.span),
        TraceFlags::new(context.flags),
        true,
        TraceState::NONE,
    )
}

fn is_valid(span: &sdk::Span) -> bool {
    opentelemetry::trace::Span::span_context(span).is_valid()
}

fn is_recording(span: &sdk::Span) -> bool {
    opentelemetry::trace::Span::is_recording(span)
}

fn context_of(span: &sdk::Span) -> TraceContext {
    let context = opentelemetry::trace::Span::span_context(span);
    TraceContext::new(
        u128::from_be_bytes(context.trace_id().to_bytes()),
        u64::from_be_bytes(context.span_id().to_bytes()),
        context.trace_flags().to_u8(),
    )
}
