//! The spans of sagas: each transition, each deadline that fires.

use chassis::trace::{Kind, Origin, Span, TraceContext, Tracer};

use crate::{
    Saga,
    state::{Phase, Timer},
    transition::Input,
};

/// The span of one transition, in the saga's own trace: below the work that causes it where that is
/// of the same trace, else below what started the saga, with a link to the work. It links to the
/// transitions that other participants' replies caused: their chains meet here.
pub(crate) fn moving(service: &'static str, saga: &Saga, input: &Input) -> Span {
    let current = TraceContext::current();
    let (origin, crossed) = match current {
        Some(current) if is_of(saga, &current) => (Origin::Child(current), None),
        foreign => (begun(saga), foreign),
    };
    let tracer = Tracer::here_or(service);
    let links = if tracer.is_on() {
        crossed.into_iter().chain(answers(saga, input)).collect()
    } else {
        Vec::new()
    };
    let name = || format!("saga {}", saga.definition);
    let mut span = tracer.begin_linked(Kind::Internal, origin, name, &links);
    if span.is_recording() {
        describe(&mut span, saga);
        span.set("banyan.saga.input", input.name());
        if let Some(step) = input.step() {
            span.set("banyan.saga.step", step.to_owned());
        }
    }
    span
}

/// Says in a transition's span where it led, and keeps its context with the step that was answered.
pub(crate) fn moved(span: &mut Span, saga: &mut Saga, from: Phase, input: &Input) {
    if !span.is_recording() {
        return;
    }
    span.set("banyan.saga.from", from.as_str());
    span.set("banyan.saga.to", saga.state.phase.as_str());
    let is_reply = saga.moment.cause.is_some();
    let step = input.step().filter(|_| is_reply);
    if let Some(step) = step.and_then(|step| saga.state.step_mut(step)) {
        step.answered_in = Some(span.context().to_string());
    }
}

/// The span of a deadline or another timer that fires: in the saga's trace, linked to its start.
pub(crate) fn firing(service: &'static str, saga: &Saga, step: &str, timer: Timer) -> Span {
    let start: Vec<TraceContext> = start(saga).into_iter().collect();
    let name = || format!("saga {}", timer.as_str());
    let tracer = Tracer::here_or(service);
    let mut span = tracer.begin_linked(Kind::Internal, begun(saga), name, &start);
    if span.is_recording() {
        describe(&mut span, saga);
        span.set("banyan.saga.step", step.to_owned());
        span.set("banyan.saga.timer", timer.as_str());
    }
    span
}

fn describe(span: &mut Span, saga: &Saga) {
    span.set_text("banyan.saga.id", saga.id);
    span.set("banyan.saga.definition", saga.definition.clone());
    span.set("banyan.saga.version", saga.version);
}

fn is_of(saga: &Saga, context: &TraceContext) -> bool {
    context.correlation_id() == saga.correlation_id
}

/// The span that started the saga.
fn start(saga: &Saga) -> Option<TraceContext> {
    let start = saga.traceparent.as_deref().and_then(TraceContext::parse)?;
    is_of(saga, &start).then_some(start)
}

fn begun(saga: &Saga) -> Origin {
    start(saga).map_or(Origin::Root(saga.correlation_id.as_u128()), Origin::Child)
}

/// Where the replies for other steps were taken in.
fn answers(saga: &Saga, input: &Input) -> impl Iterator<Item = TraceContext> {
    let own = input.step();
    let steps = saga.state.steps.iter();
    steps
        .filter(move |step| own != Some(step.name.as_str()))
        .filter_map(|step| TraceContext::parse(step.answered_in.as_deref()?))
}
