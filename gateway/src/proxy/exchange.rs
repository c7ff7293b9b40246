//! The request at its side, and at the other one where that is provably safe.

use std::sync::Arc;
use std::time::Instant;

use chassis::trace::TraceContext;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri};

use super::admission::Admitted;
use super::course::Course;
use super::keyed::Claim;
use super::reply::Refusal;
use super::{Call, Proxy, rewrite};
use crate::config::HeaderCase;
use crate::flag::Side;
use crate::forward::{
    self, Answer, BodySource, Cause, Deadline, Failure, Outgoing, Sent, Verdict, may_cross,
};
use crate::grpc;
use crate::headers::IDEMPOTENCY_KEY;
use crate::hints::Hints;
use crate::upstream::{Upstream, WhenUnhealthy};

/// A response, or why there is none, and from whom.
pub(super) struct Served<'a> {
    pub(super) outcome: Result<Answer, Failure>,
    pub(super) side: Side,
    pub(super) upstream: &'a Upstream,
    pub(super) fell_back: bool,
}

/// A request that can be sent to either side.
struct Exchange<'a, 'p> {
    proxy: &'a Proxy,
    trace: TraceContext,
    admitted: &'a Admitted<'p>,
    parts: &'a Parts,
    body: BodySource,
    deadline: Deadline,
}

/// Sends the request where its course says; to legacy when the candidate failed and nothing can
/// happen twice.
pub(super) async fn run<'a>(
    proxy: &Proxy,
    call: &Call,
    admitted: &Admitted<'a>,
    course: &Course,
    parts: &Parts,
    body: BodySource,
) -> Result<Served<'a>, Refusal> {
    let legacy = admitted.entry.upstream(Side::Legacy);
    if admitted.route.candidate.is_some() && admitted.route.config.fallback {
        legacy.earn_fallback();
    }
    let mut claim = claim(proxy, call, admitted, course, parts);
    let side = claim.as_ref().map_or(course.side, Claim::side);
    let may_fall_back = side == Side::Candidate && admitted.route.config.fallback;
    let exchange = Exchange {
        proxy,
        trace: call.trace.context(),
        admitted,
        parts,
        body,
        deadline: Deadline::new(
            call.started,
            clients_deadline(call, parts),
            admitted.route.config.deadline,
        ),
    };
    let when_unhealthy = if may_fall_back {
        WhenUnhealthy::Refuse
    } else {
        WhenUnhealthy::TryAnyway
    };
    let first = exchange.ask(side, when_unhealthy).await?;
    let sent = match &first.outcome {
        Ok(answer) if answer.verdict == Verdict::Outcome => return Ok(first),
        Ok(_) => Sent::Something,
        Err(failure) => failure.sent,
    };
    if let (Some(claim), Sent::Nothing) = (&mut claim, sent) {
        claim.sent_nothing();
    }
    let crosses = may_fall_back
        && is_upstreams_fault(&first)
        && may_cross(&parts.method, sent)
        && may_cross(acts_as(admitted, parts), sent)
        && exchange.body.can_replay()
        && !exchange.deadline.is_over()
        && legacy.take_fallback()
        // A key that was with this side before must not meet the other one, sent or not.
        && claim.as_mut().is_none_or(|claim| claim.move_to(Side::Legacy));
    if !crosses {
        exchange.body.let_go();
        return Ok(first);
    }
    admitted.entry.stats.record_fallback(Side::Candidate);
    let second = exchange.ask(Side::Legacy, WhenUnhealthy::TryAnyway).await?;
    exchange.body.let_go();
    let is_better = match (&first.outcome, &second.outcome) {
        (_, Ok(answer)) if answer.verdict == Verdict::Outcome => true,
        // Both failed: what the chosen side said is what its operator has to see.
        (first, second) => first.is_err() && second.is_ok(),
    };
    Ok(if is_better {
        Served {
            fell_back: true,
            ..second
        }
    } else {
        first
    })
}

impl<'p> Exchange<'_, 'p> {
    async fn ask(&self, side: Side, when_unhealthy: WhenUnhealthy) -> Result<Served<'p>, Refusal> {
        let upstream = self.admitted.entry.upstream(side);
        let hints = match upstream.settings().early_hints {
            true => self.parts.extensions.get::<Arc<Hints>>(),
            false => None,
        };
        let keeps_case = upstream.settings().header_case == HeaderCase::Keep;
        let outgoing = Outgoing {
            method: &self.parts.method,
            acts_as: acts_as(self.admitted, self.parts),
            uri: target(self.admitted, self.parts, side)?,
            headers: &self.parts.headers,
            letters: keeps_case.then_some(&self.parts.extensions),
            hints,
            body: &self.body,
            is_keyed: self.admitted.route.config.retry_keyed && has_one_key(self.parts),
        };
        let context = forward::Context {
            worker: self.proxy.worker,
            side,
            stats: &self.admitted.entry.stats,
            when_unhealthy,
            deadline: self.deadline,
            tracer: self.proxy.shared.tracer,
            trace: self.trace,
        };
        let outcome = forward::forward(&outgoing, upstream, context).await;
        Ok(Served {
            outcome,
            side,
            upstream,
            fell_back: false,
        })
    }
}

/// Holds an unsafe request's key to the side that first got it, on routes with two sides.
fn claim(
    proxy: &Proxy,
    call: &Call,
    admitted: &Admitted<'_>,
    course: &Course,
    parts: &Parts,
) -> Option<Claim> {
    // One side has no flag, nor has a route whose flag is not declared.
    admitted.route.flag.as_ref()?;
    let flag = admitted.route.config.flag.as_ref()?.as_str();
    if parts.method.is_safe() && acts_as(admitted, parts).is_safe() {
        return None;
    }
    let key = parts.headers.get(IDEMPOTENCY_KEY)?;
    // A minted subject is new with each repeat of a client that keeps no cookies.
    let address = || call.client.to_string();
    let subject = match &course.subject {
        Some(subject) if !course.is_minted => subject.clone(),
        _ => address(),
    };
    let (key, now) = (key.as_bytes(), Instant::now());
    Some(
        proxy
            .shared
            .keyed
            .claim(flag, &subject, key, course.side, now),
    )
}

/// One key and not several, of which servers could take either.
fn has_one_key(parts: &Parts) -> bool {
    let mut keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
    keys.next().is_some_and(|key| !key.is_empty()) && keys.next().is_none()
}

/// The method that counts beside the one sent: an upstream acts on either.
fn acts_as<'a>(admitted: &'a Admitted<'_>, parts: &'a Parts) -> &'a Method {
    admitted.acts_as.as_ref().unwrap_or(&parts.method)
}

/// When the client stops waiting, where it is a call that says so.
fn clients_deadline(call: &Call, parts: &Parts) -> Option<Instant> {
    let timeout =
        grpc::is_call(&parts.method, &parts.headers).then(|| grpc::timeout(&parts.headers));
    call.started.checked_add(timeout.flatten()?)
}

/// The client's own faults are no reason to ask anybody else.
fn is_upstreams_fault(served: &Served<'_>) -> bool {
    !matches!(
        &served.outcome,
        Err(Failure {
            cause: Cause::ClientGone | Cause::ClientTimeout | Cause::BodyTooLarge | Cause::Deadline,
            ..
        })
    )
}

/// The request's target on a side: the path as the route forwards it, rewritten for the candidate.
fn target(admitted: &Admitted<'_>, parts: &Parts, side: Side) -> Result<Uri, Refusal> {
    let rewritten = match (&admitted.route.config.rewrite, side) {
        (Some(rules), Side::Candidate) => Some(rewrite::to_candidate(rules, &admitted.path)),
        _ => None,
    };
    let path = rewritten.as_ref().unwrap_or(&admitted.path);
    let target = match parts.uri.path_and_query() {
        Some(asked) if asked.path() == path => asked.clone(),
        asked => {
            let text = match asked.and_then(PathAndQuery::query) {
                Some(query) => format!("{path}?{query}"),
                None => path.clone(),
            };
            PathAndQuery::try_from(text).map_err(|_| {
                let detail = "The path cannot be forwarded.";
                Refusal::new(StatusCode::BAD_REQUEST, "bad_path", detail)
            })?
        }
    };
    Ok(Uri::from(target))
}
