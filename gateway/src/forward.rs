//! One request to one upstream: attempts, until there is an answer or no further attempt is right.
//!
//! Invariant: whatever comes out, it is known whether any byte of the request was written to any
//! endpoint, since that decides who else may be asked.

mod attempt;
mod body;
mod deadline;
mod judge;
mod kept;
mod relay;
mod retry;
mod span;

use std::sync::Arc;
use std::time::Instant;

use chassis::trace::{TraceContext, Tracer};
use http::{Extensions, HeaderMap, Method, Request, Response, Uri};

pub(crate) use body::{BodyError, BodySource, RequestBody};
pub(crate) use deadline::Deadline;
pub(crate) use relay::{Relay, RelayError};
pub(crate) use retry::{Sent, may_cross};

use deadline::Time;

use crate::flag::Side;
use crate::hints::Hints;
use crate::stats::RouteStats;
use crate::trace::traceparent;
use crate::upstream::{Chosen, Endpoint, NoEndpoint, NoPlace, Upstream, WhenUnhealthy};

/// A request as one upstream gets it.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) method: &'a Method,
    /// The method that an override header asks for; `method` itself where there is none.
    pub(crate) acts_as: &'a Method,
    /// Origin form: path and query.
    pub(crate) uri: Uri,
    pub(crate) headers: &'a HeaderMap,
    /// The names as the client wrote them, where an upstream is to get them so.
    pub(crate) letters: Option<&'a Extensions>,
    /// Where the upstream's interim answers go, if anywhere.
    pub(crate) hints: Option<&'a Arc<Hints>>,
    pub(crate) body: &'a BodySource,
    /// It carries a key that its upstream honours: twice is once.
    pub(crate) is_keyed: bool,
}

/// Who asks, and how its attempts are counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) worker: usize,
    pub(crate) side: Side,
    pub(crate) stats: &'a RouteStats,
    pub(crate) when_unhealthy: WhenUnhealthy,
    /// When all attempts together must have brought a response's head.
    pub(crate) deadline: Deadline,
    pub(crate) tracer: Tracer,
    /// The request's own span: the attempts' parent.
    pub(crate) trace: TraceContext,
}

/// Why an upstream gave no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Refused, reset, or closed before a response.
    Unreachable,
    /// No connection or no head in time.
    Timeout,
    /// The client's own deadline has passed, or the route's when this upstream had too little of it to be
    /// blamed.
    Deadline,
    /// What came is no HTTP response.
    BadResponse,
    /// The bulkhead is full.
    Overloaded,
    /// All circuits are open.
    Open,
    /// All health checks fail.
    Unhealthy,
    /// The client did not send its body in time.
    ClientTimeout,
    /// The client went away or broke its own framing.
    ClientGone,
    /// The body is larger than the route takes.
    BodyTooLarge,
}

/// No response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    /// The most that any attempt has sent.
    pub(crate) sent: Sent,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<Relay>,
    /// Whether the upstream answered, or said that it failed.
    pub(crate) verdict: Verdict,
}

/// What a response means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// An answer, be it an error of the application.
    Outcome,
    /// 500, 502, 503 or 504 without a problem `code`: the upstream failed.
    Failed,
}

impl Outgoing<'_> {
    /// The message for one attempt.
    fn request(&self) -> Request<RequestBody> {
        let mut request = Request::new(self.body.attempt());
        request.method_mut().clone_from(self.method);
        request.uri_mut().clone_from(&self.uri);
        request.headers_mut().clone_from(self.headers);
        if let Some(letters) = self.letters {
            request.extensions_mut().clone_from(letters);
        }
        if let Some(hints) = self.hints {
            let hints = Arc::clone(hints);
            hyper::ext::on_informational(&mut request, move |told| {
                hints.tell(told.status(), told.headers());
            });
        }
        request
    }
}

impl Cause {
    /// The name in traces.
    fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Deadline => "deadline",
            Self::BadResponse => "bad_response",
            Self::Overloaded => "overloaded",
            Self::Open => "circuit_open",
            Self::Unhealthy => "unhealthy",
            Self::ClientTimeout => "client_timeout",
            Self::ClientGone => "client_gone",
            Self::BodyTooLarge => "body_too_large",
        }
    }

    /// True when it is the upstream's doing, so that its breaker must hear of it.
    fn blames_upstream(self) -> bool {
        matches!(self, Self::Unreachable | Self::Timeout | Self::BadResponse)
    }
}

/// Sends the request to an upstream, again where that is right.
pub(crate) async fn forward(
    outgoing: &Outgoing<'_>,
    upstream: &Upstream,
    context: Context<'_>,
) -> Result<Answer, Failure> {
    let refused = |cause| Failure {
        cause,
        sent: Sent::Nothing,
    };
    let place = upstream.enter(context.deadline.at()).await;
    let place = place.map_err(|none| refused(none.into()))?;
    upstream.earn_retry();
    if context.deadline.is_over() {
        return Err(refused(Cause::Deadline));
    }
    let mut chosen = upstream
        .choose(Instant::now(), context.when_unhealthy, None)
        .map_err(|none| refused(none.into()))?;
    let mut most_sent = Sent::Nothing;
    let mut number = 1;
    loop {
        let endpoint = Arc::clone(chosen.in_flight.endpoint());
        let outcome = once(outgoing, upstream, context, (number, chosen), &endpoint).await;
        let sent = match &outcome {
            Ok(_) => Sent::Something,
            Err(failure) => failure.sent,
        };
        most_sent = most_sent.max(sent);
        number += 1;
        let next = match &outcome {
            Ok(Answer {
                verdict: Verdict::Outcome,
                ..
            }) => None,
            Err(failure) if !failure.cause.blames_upstream() => None,
            _ => again(outgoing, upstream, context, (number, sent), &endpoint).await,
        };
        match (next, outcome) {
            (Some(next), _) => chosen = next,
            (None, Ok(mut answer)) => {
                answer.response.body_mut().hold(place);
                if answer.verdict == Verdict::Outcome {
                    outgoing.body.let_go();
                }
                return Ok(answer);
            }
            (None, Err(failure)) => {
                return Err(Failure {
                    sent: most_sent,
                    ..failure
                });
            }
        }
    }
}

/// One attempt, judged and told to the breaker.
async fn once(
    outgoing: &Outgoing<'_>,
    upstream: &Upstream,
    context: Context<'_>,
    (number, chosen): (u32, Chosen),
    endpoint: &Endpoint,
) -> Result<Answer, Failure> {
    let Chosen { in_flight, permit } = chosen;
    let span = span::begin(outgoing, upstream, context, number, in_flight.endpoint());
    let parent = span.as_ref().map(|span| traceparent(&span.context()));
    let worker = context.worker;
    let mut time = Time::begin(context.deadline);
    let tried = attempt::run(outgoing, upstream, &mut time, in_flight, worker, parent).await;
    let outcome = match tried {
        Ok(response) => {
            let patience = || time.rest(upstream.settings().timeout, outgoing.body);
            judge::judge(response, patience).await
        }
        Err(failure) => Err(failure),
    };
    if let Some(span) = span {
        span::end(span, &outcome);
    }
    let failed = match &outcome {
        Ok(answer) => answer.verdict == Verdict::Failed,
        Err(failure) if failure.cause.blames_upstream() => true,
        // The client's doing says nothing about the endpoint: the permit is dropped unsettled.
        Err(_) => return outcome,
    };
    if failed {
        context.stats.record_failure(context.side);
    }
    match permit {
        Some(permit) if failed => permit.fail(Instant::now()),
        Some(permit) => {
            let is_back = permit.succeed();
            if is_back {
                endpoint.returned(Instant::now());
            }
        }
        None => {}
    }
    outcome
}

/// The endpoint for one more attempt, after its pause; `None` when there must be none.
async fn again(
    outgoing: &Outgoing<'_>,
    upstream: &Upstream,
    context: Context<'_>,
    (number, sent): (u32, Sent),
    failed: &Arc<Endpoint>,
) -> Option<Chosen> {
    if !outgoing.body.can_replay() {
        return None;
    }
    // What was not sent burdens nobody: each of the other endpoints may be asked, at once.
    let is_free = sent == Sent::Nothing && number as usize <= upstream.endpoints();
    if !is_free {
        let is_right = number <= upstream.max_attempts()
            && retry::may_repeat(outgoing.method, sent, outgoing.is_keyed)
            && retry::may_repeat(outgoing.acts_as, sent, outgoing.is_keyed);
        let pause = retry::pause(number, rand::random());
        if !is_right || context.deadline.left() <= pause || !upstream.take_retry() {
            return None;
        }
        tokio::time::sleep(pause).await;
    } else if context.deadline.is_over() {
        return None;
    }
    let next = upstream
        .choose(Instant::now(), context.when_unhealthy, Some(failed))
        .ok()?;
    context.stats.record_retry(context.side);
    Some(next)
}

impl From<NoPlace> for Cause {
    fn from(none: NoPlace) -> Self {
        match none {
            NoPlace::Full => Self::Overloaded,
            NoPlace::Late => Self::Deadline,
        }
    }
}

impl From<NoEndpoint> for Cause {
    fn from(none: NoEndpoint) -> Self {
        match none {
            NoEndpoint::Open => Self::Open,
            NoEndpoint::Unhealthy => Self::Unhealthy,
        }
    }
}
