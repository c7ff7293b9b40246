//! One click, followed: one trace from the gateway to the leaderboard, and the log lines of every
//! process that had to do with it.

use std::{collections::BTreeSet, ops::ControlFlow, time::Duration};

use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use testkit::{ReceivedSpan, TraceReceiver};

use crate::{
    PATIENCE,
    distributed::{Setup, System},
    embedded::Up,
    player::{Player, expect},
};

/// Every hop says something.
const FILTER: &str = "info,chassis=debug,event_store=debug,sagas=debug";

/// What a part of the system does in one trace.
fn of<'a>(spans: &'a [ReceivedSpan], service: &str, name: &str) -> Vec<&'a ReceivedSpan> {
    let is = |span: &&ReceivedSpan| span.service() == service && span.name() == name;
    spans.iter().filter(is).collect()
}

fn one<'a>(spans: &'a [ReceivedSpan], service: &str, name: &str) -> &'a ReceivedSpan {
    let found = of(spans, service, name);
    assert_eq!(found.len(), 1, "{service} {name:?} in {}", drawn(spans));
    found[0]
}

fn drawn(spans: &[ReceivedSpan]) -> String {
    let lines: Vec<String> = spans.iter().map(ReceivedSpan::line).collect();
    lines.join("\n")
}

/// The names of a span and of all above it, with their services.
fn chain(spans: &[ReceivedSpan], span: &ReceivedSpan) -> Vec<String> {
    let named = |span: &&ReceivedSpan| format!("{} {}", span.service(), span.name());
    span.chain(spans).iter().map(named).collect()
}

/// The transition with which the saga ended.
fn completion(spans: &[ReceivedSpan]) -> Option<&ReceivedSpan> {
    spans.iter().find(|span| {
        span.attribute("banyan.saga.to") == "completed"
            && span.attribute("banyan.saga.from") == "running"
    })
}

/// Everything that follows from the answer has been received. Each process sends when its own time has
/// come, so a span may be here before the one above it and before those that it links to.
fn is_whole(spans: &[ReceivedSpan]) -> bool {
    let is_here = |id: &str| spans.iter().any(|span| span.id() == id);
    if !spans
        .iter()
        .all(|span| span.parent().is_empty() || is_here(span.parent()))
    {
        return false;
    }
    let ended = "process answer_submission.completed";
    completion(spans).is_some_and(|end| end.links().into_iter().all(is_here))
        && !of(spans, "leaderboard", ended).is_empty()
        && !of(spans, "achievement", ended).is_empty()
        && of(spans, "log", "publish").len() > 1
}

/// One answer's trace id, as its response says it.
async fn answer(player: &Player) -> String {
    let question = &player.questions().await[0];
    let answer = player
        .answer(question, "one click")
        .await
        .expect("an answer");
    let trace = trace_of(&answer);
    let _: Value = expect(answer, StatusCode::OK).await;
    trace
}

/// The trace id that a response says.
fn trace_of(response: &Response) -> String {
    let trace = response.headers()["x-trace-id"].to_str();
    trace.expect("ASCII").to_owned()
}

/// What holds of the trace of an answer, in both forms.
fn judge(spans: &[ReceivedSpan]) {
    let roots: Vec<_> = spans
        .iter()
        .filter(|span| span.parent().is_empty())
        .collect();
    assert_eq!(roots.len(), 1, "{}", drawn(spans));
    let root = roots[0];
    assert_eq!(
        (root.service(), root.name(), root.kind()),
        ("gateway", "POST /api/answers", "SERVER")
    );
    assert_eq!(root.attribute("http.response.status_code"), 200);
    assert_eq!(root.attribute("banyan.flag"), "quiz-cutover");
    assert_eq!(root.attribute("banyan.side"), "candidate");
    assert_eq!(root.attribute("banyan.fallback"), false);
    for span in spans {
        let top = span.chain(spans).pop().expect("at least itself");
        assert_eq!(top.id(), root.id(), "{}\n{}", span.line(), drawn(spans));
    }

    let start = [
        "quiz create answer.submitted",
        "quiz saga answer-submission",
        "quiz POST /api/answers",
        "gateway POST",
        "gateway POST /api/answers",
    ];
    let handled = one(spans, "leaderboard", "process answer.submitted");
    assert_eq!(chain(spans, handled)[1..], start);
    assert_eq!(handled.kind(), "CONSUMER");
    assert_eq!(handled.attribute("messaging.consumer.group.name"), "boards");
    assert_eq!(handled.attribute("banyan.outcome"), "done");
    assert!(handled.attribute("banyan.event.position").is_i64());
    assert!(handled.attribute("messaging.message.id").is_string());

    // Two chains meet where the saga ends: it is in the one and links to the other.
    let end = completion(spans).expect("the saga completed");
    let above = chain(spans, end);
    assert_eq!(above[above.len() - start.len()..], start);
    let side = |span: &ReceivedSpan| {
        let above = chain(spans, span);
        let is_through = |name: &str| above.iter().any(|span| span.starts_with(name));
        match (is_through("achievement"), is_through("leaderboard")) {
            (true, false) => "achievement",
            (false, true) => "leaderboard",
            _ => panic!("{above:?}"),
        }
    };
    let links = end.links();
    assert_eq!(links.len(), 1, "{}", end.line());
    let other = spans.iter().find(|span| span.id() == links[0]);
    let other = other.unwrap_or_else(|| panic!("{} in {}", end.line(), drawn(spans)));
    assert_eq!(other.name(), "saga answer-submission");
    let sides = BTreeSet::from([side(end), side(other)]);
    assert_eq!(sides, BTreeSet::from(["achievement", "leaderboard"]));

    // Moving events on is linked to what wrote them.
    let created: BTreeSet<&str> = spans
        .iter()
        .filter(|span| span.name().starts_with("create "))
        .map(ReceivedSpan::id)
        .collect();
    for (service, name) in [("quiz", "relay append"), ("log", "publish")] {
        let moves = of(spans, service, name);
        assert!(!moves.is_empty(), "{service} {name:?} in {}", drawn(spans));
        for moved in moves {
            assert_eq!(moved.kind(), "PRODUCER");
            let is_linked = moved.links().iter().any(|link| created.contains(link));
            assert!(is_linked, "{}", moved.line());
        }
    }
}

/// The lines of one trace, as JSON.
fn lines_of(output: &[String], trace: &str) -> Vec<Value> {
    let read = |line: &String| -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    let of_trace = output.iter().filter(|line| line.contains(trace));
    of_trace.map(read).collect()
}

/// The lines of one trace, once all that are wanted are there: lines and spans come through different
/// pipes, so either may be the first.
async fn whole_lines(
    output: impl Fn() -> Vec<String>,
    trace: &str,
    are_whole: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    let read = || {
        let lines = lines_of(&output(), trace);
        std::future::ready(if are_whole(&lines) {
            ControlFlow::Break(lines)
        } else {
            ControlFlow::Continue(format!("{lines:?}"))
        })
    };
    testkit::eventually(PATIENCE, read).await
}

/// Whoever had to do with the answer has said so.
fn tell_all(lines: &[Value]) -> bool {
    let services = ["quiz", "achievement", "leaderboard"];
    let is_handled = |service| says(lines, service, "handled");
    says(lines, "quiz", "answered") && services.into_iter().all(is_handled)
}

/// Every line says for whom it was written, and where: in a span that is received, be it later.
async fn judge_lines(lines: &[Value], receiver: &TraceReceiver, trace: &str) {
    let are_here = |spans: &[ReceivedSpan]| {
        let known: BTreeSet<&str> = spans.iter().map(ReceivedSpan::id).collect();
        let is_here = |line: &Value| line["span_id"].as_str().is_none_or(|id| known.contains(id));
        lines.iter().all(is_here)
    };
    receiver.trace(trace, PATIENCE, are_here).await;
    for line in lines {
        assert_eq!(line["trace_id"], trace, "{line}");
        let correlation = line["correlation_id"].as_str().expect("a correlation id");
        assert_eq!(correlation.replace('-', ""), trace);
        assert!(line["span_id"].is_string(), "{line}");
    }
}

fn says(lines: &[Value], service: &str, message: &str) -> bool {
    let says = |line: &Value| line["service"] == service && line["message"] == message;
    lines.iter().any(says)
}

#[tokio::test]
async fn one_click_is_one_trace_from_the_gateway_to_the_leaderboard() {
    let receiver = TraceReceiver::start().await.expect("a receiver");
    let mut system = System::start_as(Setup {
        environment: vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint()),
            ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
            ("RUST_LOG", FILTER.to_owned()),
        ],
        ..Setup::default()
    })
    .await;
    system.move_everything().await;
    let player = Player::register(&system.url("gateway"), "Grace").await;
    let trace = answer(&player).await;
    let spans = receiver.trace(&trace, PATIENCE, is_whole).await;
    judge(&spans);

    let output = || {
        let parts = ["quiz", "quiz-2", "achievement", "leaderboard"];
        parts.map(|part| system.output(part)).concat()
    };
    let lines = whole_lines(output, &trace, tell_all).await;
    judge_lines(&lines, &receiver, &trace).await;
    let handled = lines.iter().filter(|line| line["message"] == "handled");
    for line in handled {
        assert!(line["event_id"].is_string(), "{line}");
        assert!(line["consumer"].is_string(), "{line}");
    }

    a_deadline_is_in_the_trace(&mut system, &player, &receiver).await;
    a_fallback_is_in_the_trace(&mut system, &player, &receiver).await;

    // What waits is sent before a process ends, and its end is a clean one.
    let last = trace_of(&player.call(Method::GET, "/api/leaderboard", None).await);
    system.stop("gateway", Duration::from_secs(30)).await;
    let is_there = |spans: &[ReceivedSpan]| spans.iter().any(|span| span.parent().is_empty());
    receiver.trace(&last, PATIENCE, is_there).await;
}

/// A participant is down: what ends the wait is in the click's own trace.
async fn a_deadline_is_in_the_trace(
    system: &mut System,
    player: &Player,
    receiver: &TraceReceiver,
) {
    system.stop("leaderboard", Duration::from_secs(30)).await;
    let question = &player.questions().await[0];
    let answer = player.answer(question, "nobody answers").await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    // Each replica of quiz sends by itself: one had the request, either may have had the deadline.
    let fired = |spans: &[ReceivedSpan]| {
        let is_turn = |span: &ReceivedSpan| span.attribute("banyan.saga.to") == "compensating";
        let is_here = |name| !of(spans, "quiz", name).is_empty();
        is_here("saga deadline") && is_here("POST /api/answers") && spans.iter().any(is_turn)
    };
    let spans = receiver.trace(&trace_of(&answer), PATIENCE, fired).await;
    let deadline = one(&spans, "quiz", "saga deadline");
    let start = one(&spans, "quiz", "POST /api/answers");
    assert_eq!(deadline.links(), [start.id()]);
    assert_eq!(deadline.parent(), start.id());
    let turn = spans.iter().find(|span| span.parent() == deadline.id());
    let turn = turn.unwrap_or_else(|| panic!("{}", drawn(&spans)));
    assert_eq!(turn.attribute("banyan.saga.input"), "due");
    assert_eq!(turn.attribute("banyan.saga.from"), "running");
    assert_eq!(turn.attribute("banyan.saga.to"), "compensating");
}

/// The candidate is down: each attempt is in the trace, and who answered in the end.
async fn a_fallback_is_in_the_trace(
    system: &mut System,
    player: &Player,
    receiver: &TraceReceiver,
) {
    for part in ["quiz", "quiz-2"] {
        system.stop(part, Duration::from_secs(30)).await;
    }
    let stats = player.call(Method::GET, "/api/stats/me", None).await;
    assert_eq!(stats.headers()["x-banyan-fallback"], "1");
    let is_whole = |spans: &[ReceivedSpan]| {
        let has = |service| spans.iter().any(|span| span.service() == service);
        has("legacy") && spans.iter().any(|span| span.parent().is_empty())
    };
    let spans = receiver.trace(&trace_of(&stats), PATIENCE, is_whole).await;
    let root = one(&spans, "gateway", "GET /api/stats");
    assert_eq!(root.attribute("banyan.fallback"), true);
    assert_eq!(root.attribute("banyan.side"), "legacy");
    let attempts = of(&spans, "gateway", "GET");
    assert!(attempts.iter().all(|attempt| attempt.kind() == "CLIENT"));
    let to = |side: &str| -> Vec<&ReceivedSpan> {
        let is_to = |attempt: &&ReceivedSpan| attempt.attribute("banyan.side") == side;
        attempts.iter().copied().filter(is_to).collect()
    };
    let (candidate, legacy) = (to("candidate"), to("legacy"));
    assert_eq!((candidate.len(), legacy.len()), (2, 1), "{}", drawn(&spans));
    assert!(candidate.iter().all(|attempt| attempt.status() == "ERROR"));
    let again = |attempt: &ReceivedSpan| attempt.attribute("http.request.resend_count") == 1;
    assert_eq!(candidate.iter().filter(|attempt| again(attempt)).count(), 1);
    let answered = one(&spans, "legacy", "GET /api/stats/me");
    assert_eq!(answered.parent(), legacy[0].id());
}

#[tokio::test]
async fn in_one_process_each_part_still_has_its_name_in_traces_and_in_log_lines() {
    let receiver = TraceReceiver::start().await.expect("a receiver");
    let endpoint = receiver.endpoint();
    let mut up = Up::start_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        // So late that only the end sends anything.
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
        ("RUST_LOG", FILTER),
    ])
    .await;
    up.move_everything().await;
    let player = Player::register(&up.gateway(), "Grace").await;
    let trace = answer(&player).await;
    let are_whole = |lines: &[Value]| {
        // The last thing that follows from the answer.
        let is_end = |line: &&Value| {
            line["message"] == "handled" && line["event_type"] == "answer_submission.completed"
        };
        tell_all(lines) && lines.iter().filter(is_end).count() >= 2
    };
    let lines = whole_lines(|| up.process.output(), &trace, are_whole).await;
    up.process.terminate().expect("it runs");
    let status = up.process.exit(PATIENCE).await;
    assert_eq!(status.code(), Some(0));

    let spans = receiver.trace(&trace, PATIENCE, is_whole).await;
    judge(&spans);
    judge_lines(&lines, &receiver, &trace).await;
}
