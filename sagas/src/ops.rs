//! `/ops/sagas`: what operators see and do. Each act needs a reason, names who acts, and can be
//! tied to the version of the saga that it was decided on.

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use chassis::{
    Problem,
    http::{Json, Path, Query},
    ops::Actor,
};
use database::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Engine, Error, PolicyChange, Saga,
    definition::OnTimeout,
    state::Phase,
    store::{self, Filter},
    transition::{Intervention, Resolution, Verb},
};

/// Sagas per page unless the request says otherwise.
const PAGE: u32 = 50;

/// Transitions shown of one saga: more than any sane one has.
const TIMELINE: i64 = 500;

/// A reason is a sentence or two for other people.
const MAX_REASON: usize = 1000;

/// The routes, to be nested under `/ops`.
pub(crate) fn router(engine: Engine) -> Router {
    Router::new()
        .route("/sagas", get(list))
        .route("/sagas/policy", get(policies).put(set_policy))
        .route("/sagas/{id}", get(show))
        .route("/sagas/{id}/retry", post(retry))
        .route("/sagas/{id}/resolve", post(resolve))
        .route("/sagas/{id}/compensate", post(compensate))
        .route("/sagas/{id}/abandon", post(abandon))
        .with_state(engine)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    /// One of the states, or `open` for all that have not ended.
    state: Option<String>,
    /// Started at least this many seconds ago.
    older_than: Option<u32>,
    step: Option<String>,
    definition: Option<String>,
    correlation: Option<Uuid>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Vec<Saga>,
    next_cursor: Option<String>,
}

async fn list(
    State(engine): State<Engine>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Page>, Problem> {
    let limit = wanted.limit.unwrap_or(PAGE).clamp(1, store::MAX_PAGE);
    let open = wanted.state.as_deref() == Some("open");
    let state = match wanted.state.as_deref().filter(|_| !open) {
        Some(name) => Some(Phase::parse(name).ok_or_else(|| bad_query("state"))?),
        None => None,
    };
    let created_before = match wanted.older_than {
        Some(seconds) => {
            let now = engine.database().now().await?;
            Some(now - std::time::Duration::from_secs(seconds.into()))
        }
        None => None,
    };
    let after = match wanted.cursor.as_deref() {
        Some(cursor) => Some(read_cursor(cursor).ok_or_else(|| bad_query("cursor"))?),
        None => None,
    };
    let filter = Filter {
        state,
        open,
        created_before,
        step: wanted.step,
        definition: wanted.definition,
        correlation: wanted.correlation,
        after,
        limit,
    };
    let store::Page { items, next } = store::list(engine.database(), &filter).await?;
    let next_cursor = next.map(|(at, id)| format!("{}.{}", at.as_micros(), id.simple()));
    Ok(Json(Page { items, next_cursor }))
}

fn bad_query(field: &'static str) -> Problem {
    let detail = format!("`{field}` does not have a value that is known here.");
    Problem::bad_request("invalid_query", detail).field(field)
}

fn read_cursor(cursor: &str) -> Option<(Timestamp, Uuid)> {
    let (at, id) = cursor.split_once('.')?;
    Some((
        Timestamp::from_micros(at.parse().ok()?),
        Uuid::try_parse(id).ok()?,
    ))
}

async fn show(State(engine): State<Engine>, Path(id): Path<Uuid>) -> Result<Json<Value>, Problem> {
    let saga = engine.load(id).await?;
    let deadlines = store::pending(engine.database(), id).await?;
    let timeline = store::timeline(engine.database(), id, TIMELINE).await?;
    let outline = engine.outline(&saga);
    let mut shown = serde_json::to_value(saga).map_err(|error| Problem::internal(&error))?;
    shown["deadlines"] = json!(deadlines);
    shown["timeline"] = json!(timeline);
    shown["outline"] = json!(outline);
    Ok(Json(shown))
}

/// An act without more.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Act {
    reason: String,
    if_version: Option<i64>,
    /// `retry` only: the step to begin again; without it the compensation is.
    step: Option<String>,
    /// `resolve` only.
    outcome: Option<Resolution>,
}

async fn retry(
    State(engine): State<Engine>,
    Path(id): Path<Uuid>,
    actor: Actor,
    Json(mut act): Json<Act>,
) -> Result<Json<Saga>, Problem> {
    let verb = match act.step.take() {
        Some(step) => Verb::RetryStep { step },
        None => Verb::RetryCompensation,
    };
    intervene(&engine, id, actor, act, verb).await
}

async fn resolve(
    State(engine): State<Engine>,
    Path(id): Path<Uuid>,
    actor: Actor,
    Json(mut act): Json<Act>,
) -> Result<Json<Saga>, Problem> {
    let missing = |field: &'static str| {
        Problem::unprocessable("invalid_field", format!("missing field `{field}`")).field(field)
    };
    let step = act.step.take().ok_or_else(|| missing("step"))?;
    let outcome = act.outcome.take().ok_or_else(|| missing("outcome"))?;
    intervene(&engine, id, actor, act, Verb::ResolveStep { step, outcome }).await
}

async fn compensate(
    State(engine): State<Engine>,
    Path(id): Path<Uuid>,
    actor: Actor,
    Json(act): Json<Act>,
) -> Result<Json<Saga>, Problem> {
    intervene(&engine, id, actor, act, Verb::ForceCompensation).await
}

async fn abandon(
    State(engine): State<Engine>,
    Path(id): Path<Uuid>,
    actor: Actor,
    Json(act): Json<Act>,
) -> Result<Json<Saga>, Problem> {
    intervene(&engine, id, actor, act, Verb::Abandon).await
}

async fn intervene(
    engine: &Engine,
    id: Uuid,
    actor: Actor,
    act: Act,
    verb: Verb,
) -> Result<Json<Saga>, Problem> {
    for (given, field) in [
        (act.step.is_some(), "step"),
        (act.outcome.is_some(), "outcome"),
    ] {
        if given {
            let detail = format!("unknown field `{field}` for this verb");
            return Err(Problem::unprocessable("invalid_field", detail).field(field));
        }
    }
    let reason = sound_reason(&act.reason)?;
    let by = Intervention {
        verb,
        actor: actor.0,
        reason,
    };
    Ok(Json(engine.intervene(id, by, act.if_version).await?))
}

fn sound_reason(reason: &str) -> Result<String, Problem> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON {
        let detail = format!("`reason` must have 1 to {MAX_REASON} characters.");
        return Err(Problem::unprocessable("invalid_field", detail).field("reason"));
    }
    Ok(reason.to_owned())
}

/// What a timeout of each step means for sagas that start now.
async fn policies(State(engine): State<Engine>) -> Result<Json<Value>, Problem> {
    let changed = store::policies(engine.database()).await?;
    let items: Vec<Value> = engine
        .timeout_defaults()
        .into_iter()
        .map(|(definition, step, default)| {
            let change = changed
                .iter()
                .find(|change| change.definition == definition && change.step == step);
            let on_timeout = change.map_or(default.as_str(), |change| &change.on_timeout);
            json!({
                "definition": definition, "step": step, "onTimeout": on_timeout,
                "default": default.as_str(), "change": change,
            })
        })
        .collect();
    Ok(Json(json!({ "items": items })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewPolicy {
    definition: String,
    step: String,
    on_timeout: OnTimeout,
    reason: String,
}

async fn set_policy(
    State(engine): State<Engine>,
    actor: Actor,
    Json(new): Json<NewPolicy>,
) -> Result<Json<Value>, Problem> {
    let reason = sound_reason(&new.reason)?;
    let NewPolicy {
        definition,
        step,
        on_timeout,
        ..
    } = new;
    let change = PolicyChange {
        definition,
        step,
        on_timeout,
        actor: actor.0,
        reason,
    };
    engine.set_policy(&change).await?;
    policies(State(engine)).await
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Database(error) => error.into(),
            Error::NotFound(_) => Self::not_found("saga_not_found", text),
            Error::NotRegistered { .. } => Self::not_found("definition_not_found", text),
            Error::Moved { actual, .. } => {
                Self::conflict("version_conflict", text).with("version", actual)
            }
            Error::LostRace(_) => Self::conflict("version_conflict", text),
            Error::AlreadyStarted(_) => Self::conflict("saga_exists", text),
            Error::Illegal(crate::IllegalMove::UnknownStep(_)) => {
                Self::unprocessable("unknown_step", text).field("step")
            }
            Error::Illegal(_) => Self::conflict("not_possible_now", text),
            error => Self::internal(&error),
        }
    }
}
