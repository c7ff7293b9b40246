//! `/ops/sagas`: what operators see and do.

use axum::{Router, body::Body};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use sagas::{Phase, Progress, Timer, Undoing};
use serde_json::{Value, json};
use testkit::{Backend, both_databases, eventually};
use tower::ServiceExt;
use uuid::Uuid;

use super::{
    order::Conduct,
    world::{PATIENCE, World, events_of},
};

both_databases!(
    lists_filter_and_page,
    a_saga_is_shown_with_its_deadlines_and_its_timeline,
    an_act_needs_a_reason_and_the_version_it_was_decided_on,
    a_parked_saga_goes_on_after_a_retry_or_a_resolution,
    a_roll_back_that_fails_is_not_told_and_a_retry_finishes_it,
    a_policy_holds_for_new_sagas_only,
    an_act_is_an_event_with_who_and_why,
    sagas_are_counted_by_outcome,
    a_definition_that_is_not_here_is_counted_until_its_last_saga_has_ended,
);

pub(crate) async fn call(
    router: &Router,
    method: &str,
    path: &str,
    body: Value,
) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .header("x-banyan-actor", "maria")
        .body(if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        })
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

async fn get(router: &Router, path: &str) -> Value {
    let (status, body) = call(router, "GET", path, Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

fn ids(page: &Value) -> Vec<Uuid> {
    let items = page["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap().parse().unwrap())
        .collect()
}

/// A saga that waits for `pay` alone.
pub(crate) async fn waiting_for_pay(world: &World) -> Uuid {
    world.plan.set("pay", Conduct::Silent);
    let id = world.started().await;
    world
        .until(id, |saga| world.waits_only_for_time(saga))
        .await;
    id
}

async fn lists_filter_and_page(backend: Backend) {
    let world = World::new(backend).await;
    let ops = world.engine().ops();
    let ended = world.started().await;
    world.until(ended, |saga| saga.phase().is_end()).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        world.clock.advance(super::order::SECOND / 100);
        open.push(waiting_for_pay(&world).await);
    }
    open.reverse();
    assert_eq!(ids(&get(&ops, "/sagas?state=open").await), open);
    assert_eq!(ids(&get(&ops, "/sagas?state=completed").await), [ended]);
    assert_eq!(
        ids(&get(&ops, "/sagas?definition=order&step=pay").await),
        open
    );
    assert!(ids(&get(&ops, "/sagas?definition=other").await).is_empty());
    assert_eq!(
        ids(&get(&ops, &format!("/sagas?correlation={ended}")).await),
        [ended]
    );
    let first = get(&ops, "/sagas?limit=2").await;
    assert_eq!(ids(&first), open[..2]);
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = get(&ops, &format!("/sagas?limit=2&cursor={cursor}")).await;
    assert_eq!(ids(&second), [open[2], ended]);
    for bad in ["state=odd", "cursor=odd", "more=1", "olderThan=x"] {
        let (status, body) = call(&ops, "GET", &format!("/sagas?{bad}"), Value::Null).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_query"))
        );
    }
}

async fn a_saga_is_shown_with_its_deadlines_and_its_timeline(backend: Backend) {
    let world = World::new(backend).await;
    let ops = world.engine().ops();
    let id = waiting_for_pay(&world).await;
    let shown = get(&ops, &format!("/sagas/{id}")).await;
    assert_eq!(shown["state"], "running");
    assert_eq!(shown["data"]["goods"], "tea");
    assert_eq!(shown["steps"][1]["name"], "pay");
    assert_eq!(shown["policy"]["pay"], "compensate");
    assert_eq!(shown["deadlines"][0]["step"], "pay");
    assert_eq!(shown["deadlines"][0]["kind"], "deadline");
    assert_eq!(shown["timeline"][0]["inputs"][0]["input"], "start");
    assert_eq!(shown["timeline"][1]["inputs"][0]["step"], "pack");
    assert!(shown["timeline"][1]["causeId"].is_string());
    assert_eq!(shown["outline"]["stages"][1][0]["name"], "pay");
    assert_eq!(shown["outline"]["stages"][1][0]["deadlineMs"], 5000);
    let (status, body) = call(
        &ops,
        "GET",
        &format!("/sagas/{}", Uuid::now_v7()),
        Value::Null,
    )
    .await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::NOT_FOUND, &json!("saga_not_found"))
    );
}

async fn an_act_needs_a_reason_and_the_version_it_was_decided_on(backend: Backend) {
    let world = World::new(backend).await;
    let ops = world.engine().ops();
    let id = waiting_for_pay(&world).await;
    let version = world.saga(id).await.version;
    let path = format!("/sagas/{id}/compensate");
    let refusals = [
        (json!({}), 422, "invalid_field"),
        (json!({ "reason": " " }), 422, "invalid_field"),
        (
            json!({ "reason": "x", "outcome": "done" }),
            422,
            "invalid_field",
        ),
        (
            json!({ "reason": "x", "ifVersion": version - 1 }),
            409,
            "version_conflict",
        ),
    ];
    for (body, status, code) in refusals {
        let (got, problem) = call(&ops, "POST", &path, body).await;
        assert_eq!(
            (got.as_u16(), &problem["code"]),
            (status, &json!(code)),
            "{problem}"
        );
    }
    assert_eq!(world.saga(id).await.version, version);
    let body = json!({ "reason": "wrong goods", "ifVersion": version });
    let (status, shown) = call(&ops, "POST", &path, body.clone()).await;
    assert_eq!(
        (status, &shown["state"]),
        (StatusCode::OK, &json!("compensating"))
    );
    let (status, _) = call(&ops, "POST", &path, json!({ "reason": "again" })).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let saga = world.until(id, |saga| saga.phase().is_end()).await;
    world.check_end(&saga).await;
}

async fn a_parked_saga_goes_on_after_a_retry_or_a_resolution(backend: Backend) {
    let world = World::new(backend).await;
    let ops = world.engine().ops();
    let park = json!({
        "definition": "order", "step": "pay", "onTimeout": "park", "reason": "look first",
    });
    let (status, _) = call(&ops, "PUT", "/sagas/policy", park).await;
    assert_eq!(status, StatusCode::OK);
    let id = waiting_for_pay(&world).await;
    world.run_out(id, "pay", Timer::Deadline).await;
    world.until(id, |saga| saga.phase() == Phase::Parked).await;
    let retry = json!({ "reason": "it is up again", "step": "pay" });
    let (status, shown) = call(&ops, "POST", &format!("/sagas/{id}/retry"), retry).await;
    assert_eq!(
        (status, &shown["state"]),
        (StatusCode::OK, &json!("running"))
    );
    world
        .until(id, |saga| world.waits_only_for_time(saga))
        .await;
    let body = json!({ "reason": "I saw it", "step": "pay", "outcome": "done" });
    let (status, _) = call(&ops, "POST", &format!("/sagas/{id}/resolve"), body).await;
    assert_eq!(status, StatusCode::OK);
    let saga = world.until(id, |saga| saga.phase().is_end()).await;
    assert_eq!(saga.phase(), Phase::Completed);
    assert_eq!(saga.step("pay").unwrap().attempt, 2);
    world.check_end(&saga).await;
}

async fn a_roll_back_that_fails_is_not_told_and_a_retry_finishes_it(backend: Backend) {
    let world = World::new(backend).await;
    let ops = world.engine().ops();
    world.plan.set("ship", Conduct::Refuses);
    world.plan.set("undo:reserve", Conduct::Fails);
    let id = world.started().await;
    let confirmed = |saga: &sagas::Saga| {
        let undone = |name| {
            saga.step(name)
                .is_some_and(|step| step.undo == Undoing::Undone)
        };
        undone("pay") && undone("pack") && undone("note")
    };
    let saga = world.until(id, confirmed).await;
    assert!(
        !saga.is_decided(),
        "the owner still holds what it did: {:?}",
        saga.state
    );
    world.run_out(id, "reserve", Timer::UndoRetry).await;
    let saga = world
        .until(id, |saga| saga.phase() == Phase::NeedsIntervention)
        .await;
    assert!(!saga.is_decided());
    world.plan.set("undo:reserve", Conduct::Good);
    let body = json!({ "reason": "the disk was full", "ifVersion": saga.version });
    let (status, shown) = call(&ops, "POST", &format!("/sagas/{id}/retry"), body).await;
    assert_eq!(
        (status, &shown["state"]),
        (StatusCode::OK, &json!("compensated"))
    );
    world.check_end(&world.saga(id).await).await;
}

async fn a_policy_holds_for_new_sagas_only(backend: Backend) {
    let world = World::new(backend).await;
    let ops = world.engine().ops();
    let old = waiting_for_pay(&world).await;
    let mut change = json!({
        "definition": "order", "step": "nothing", "onTimeout": "proceed", "reason": "a bad day",
    });
    let (status, problem) = call(&ops, "PUT", "/sagas/policy", change.clone()).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (422, &json!("unknown_step"))
    );
    change["step"] = json!("pay");
    let (status, shown) = call(&ops, "PUT", "/sagas/policy", change).await;
    assert_eq!(status, StatusCode::OK);
    let pay = shown["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["step"] == "pay")
        .unwrap();
    assert_eq!(
        (&pay["onTimeout"], &pay["default"]),
        (&json!("proceed"), &json!("compensate"))
    );
    assert_eq!(pay["change"]["actor"], "maria");
    let new = waiting_for_pay(&world).await;
    world.run_out(new, "pay", Timer::Deadline).await;
    let old = world.until(old, |saga| saga.phase().is_end()).await;
    let new = world.until(new, |saga| saga.phase().is_end()).await;
    assert_eq!(
        (old.phase(), new.phase()),
        (Phase::Compensated, Phase::Completed)
    );
    assert_eq!(new.step("pay").unwrap().progress, Progress::Unknown);
}

async fn an_act_is_an_event_with_who_and_why(backend: Backend) {
    let world = World::new(backend).await;
    let ops = world.engine().ops();
    let id = waiting_for_pay(&world).await;
    let body = json!({ "reason": "customer called" });
    let (status, shown) = call(&ops, "POST", &format!("/sagas/{id}/abandon"), body).await;
    assert_eq!(
        (status, &shown["state"]),
        (StatusCode::OK, &json!("abandoned"))
    );
    let payload = eventually(PATIENCE, || async {
        let events = events_of(&world.log, id).await;
        let act = events
            .into_iter()
            .find(|event| event.event.event_type == "saga.intervened");
        act.map(|event| event.event.payload)
    })
    .await;
    assert_eq!(payload["verb"], "abandon");
    assert_eq!(
        (&payload["actor"], &payload["reason"]),
        (&json!("maria"), &json!("customer called"))
    );
}

async fn sagas_are_counted_by_outcome(backend: Backend) {
    let mut world = World::new(backend).await;
    world.drive(Uuid::now_v7()).await;
    world.plan.set("ship", Conduct::Silent);
    world.drive(Uuid::now_v7()).await;
    world.engine().count_open().await.unwrap();
    let metrics = chassis::Metrics::new();
    metrics.register(|registry| world.engine().metrics().register(registry));
    let text = metrics.encode().unwrap();
    for line in [
        "sagas_started_total{definition=\"order\"} 2",
        "sagas_ended_total{definition=\"order\",outcome=\"completed\"} 1",
        "sagas_ended_total{definition=\"order\",outcome=\"compensated\"} 1",
        "sagas_turned_total{definition=\"order\"} 1",
        "saga_timer_lateness_seconds_count{kind=\"deadline\"} 1",
        "sagas_ended_total{definition=\"order\",outcome=\"abandoned\"} 0",
        "sagas_open{definition=\"order\",state=\"running\"} 0",
        "saga_oldest_open_seconds{definition=\"order\"} 0.0",
        "saga_timer_overdue_seconds 0.0",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

async fn a_definition_that_is_not_here_is_counted_until_its_last_saga_has_ended(backend: Backend) {
    let world = World::new(backend).await;
    waiting_for_pay(&world).await;
    let execute = async |sql: &'static str| world.database().execute(sql, vec![]).await.unwrap();
    execute("UPDATE sagas SET definition = 'earlier'").await;
    world.clock.advance(super::order::SECOND / 100);
    let metrics = chassis::Metrics::new();
    metrics.register(|registry| world.engine().metrics().register(registry));
    let oldest = async || {
        world.engine().count_open().await.unwrap();
        let text = metrics.encode().unwrap();
        let series = "saga_oldest_open_seconds{definition=\"earlier\"} ";
        let value = text.lines().find_map(|line| line.strip_prefix(series));
        value.expect("it is counted").parse::<f64>().unwrap()
    };
    assert!(oldest().await > 0.0);
    execute("UPDATE sagas SET ended_at = updated_at").await;
    assert_eq!(oldest().await, 0.0);
}
