//! Flags: look, change, turn back, restore, history.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use chassis::{
    Problem,
    http::{Json, Path},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Admin, guard::Actor};
use crate::{
    control::now,
    flag::{Change, ChangeError, Changed, FlagState, Note, Patch, Percent, Phase, Rule},
};

/// The longest reason, in characters: a paragraph and a link to the incident.
const MAX_REASON: usize = 1_000;

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/flags", get(list))
        .route("/flags/{id}", get(show).patch(change))
        .route("/flags/{id}/rollback", post(rollback))
        .route("/flags/{id}/restore", post(restore))
        .route("/flags/{id}/history", get(history))
}

/// A flag as the API shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FlagBody {
    #[serde(flatten)]
    state: FlagState,
    phase: Phase,
    /// A rollback works here and waits for the log.
    pending: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangeBody {
    percent: Option<Percent>,
    allow: Option<BTreeSet<String>>,
    deny: Option<BTreeSet<String>>,
    rules: Option<Vec<Rule>>,
    drain: Option<bool>,
    killed: Option<bool>,
    reason: String,
    if_version: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RollbackBody {
    reason: String,
    now: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RestoreBody {
    version: u64,
    reason: String,
}

async fn list(State(admin): State<Admin>) -> Json<Value> {
    let flags = admin.control.flags();
    let items: Vec<_> = flags
        .states()
        .into_iter()
        .map(|it| body(&admin, (*it).clone()))
        .collect();
    Json(json!({ "items": items, "degraded": flags.degraded() }))
}

async fn show(
    State(admin): State<Admin>,
    Path(id): Path<String>,
) -> Result<Json<FlagBody>, Problem> {
    let state = admin.control.flags().state(&id).map_err(problem)?;
    Ok(Json(body(&admin, (*state).clone())))
}

async fn change(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    actor: Actor,
    Json(asked): Json<ChangeBody>,
) -> Result<Json<FlagBody>, Problem> {
    let note = note(actor, &asked.reason)?;
    let patch = Patch {
        percent: asked.percent,
        allow: asked.allow,
        deny: asked.deny,
        rules: asked.rules,
        drain: asked.drain,
        killed: asked.killed,
        ..Patch::default()
    };
    if patch.is_empty() {
        let detail = "Name what changes: percent, allow, deny, rules, drain or killed.";
        return Err(Problem::unprocessable("nothing_to_change", detail));
    }
    let changed = admin
        .control
        .flags()
        .change(&id, &patch, &note, asked.if_version)
        .await;
    answer(&admin, changed)
}

async fn rollback(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    actor: Actor,
    Json(asked): Json<RollbackBody>,
) -> Result<Json<FlagBody>, Problem> {
    if asked.now == Some(false) {
        let detail = "A rollback takes effect at once; leave `now` out or say true.";
        return Err(Problem::unprocessable("invalid_field", detail).field("now"));
    }
    let note = note(actor, &asked.reason)?;
    answer(
        &admin,
        admin
            .control
            .flags()
            .change(&id, &Patch::kill(), &note, None)
            .await,
    )
}

async fn restore(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    actor: Actor,
    Json(asked): Json<RestoreBody>,
) -> Result<Json<FlagBody>, Problem> {
    let note = note(actor, &asked.reason)?;
    answer(
        &admin,
        admin
            .control
            .flags()
            .restore(&id, asked.version, &note)
            .await,
    )
}

async fn history(
    State(admin): State<Admin>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let items: Vec<Arc<Change>> = admin.control.flags().history(&id).map_err(problem)?;
    Ok(Json(json!({ "items": items })))
}

fn body(admin: &Admin, state: FlagState) -> FlagBody {
    let pending = admin.control.flags().is_pending(state.id.as_str());
    FlagBody {
        phase: state.phase(),
        pending,
        state,
    }
}

fn answer(admin: &Admin, changed: Result<Changed, ChangeError>) -> Result<Json<FlagBody>, Problem> {
    changed
        .map(|changed| Json(body(admin, changed.state)))
        .map_err(problem)
}

fn note(actor: Actor, reason: &str) -> Result<Note, Problem> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON {
        let detail = format!("A reason has 1 to {MAX_REASON} characters.");
        return Err(Problem::unprocessable("reason_required", detail).field("reason"));
    }
    Ok(Note::new(actor.0, reason, now()))
}

fn problem(error: ChangeError) -> Problem {
    let detail = error.to_string();
    match error {
        ChangeError::UnknownFlag(_) => Problem::not_found("unknown_flag", detail),
        ChangeError::UnknownVersion(_) => {
            Problem::unprocessable("unknown_version", detail).field("version")
        }
        ChangeError::Stale { current } => {
            Problem::conflict("stale_version", detail).with("currentVersion", current)
        }
        ChangeError::Invalid(fault) => {
            Problem::unprocessable("invalid_field", detail).field(fault.field)
        }
        ChangeError::Refused(_) => Problem::unprocessable("log_refused", detail),
        ChangeError::LogUnavailable(_) => {
            Problem::unavailable("log_unavailable", detail).retry_after(1)
        }
        ChangeError::StateFile(_) => {
            Problem::unavailable("state_file_unavailable", detail).retry_after(1)
        }
    }
}
