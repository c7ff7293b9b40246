//! Routes, upstreams and the configuration file: what is, with live counts.

use axum::{Router, extract::State, routing::get};
use chassis::{
    Problem,
    http::{Json, Path},
};
use serde_json::{Value, json};

use super::Admin;
use crate::table::Route;

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/routes", get(list))
        .route("/routes/{id}", get(show))
        .route("/upstreams", get(upstreams))
        .route("/config", get(config))
}

async fn list(State(admin): State<Admin>) -> Json<Value> {
    let table = admin.control.table().clone();
    let items: Vec<_> = table
        .routes()
        .iter()
        .map(|route| body(&admin, route))
        .collect();
    Json(json!({ "items": items }))
}

async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let table = admin.control.table().clone();
    let route = table
        .route(&id)
        .ok_or_else(|| Problem::not_found("unknown_route", format!("there is no route `{id}`")))?;
    Ok(Json(body(&admin, route)))
}

async fn upstreams(State(admin): State<Admin>) -> Json<Value> {
    Json(json!({ "items": admin.upstreams.snapshot() }))
}

/// Whether the file as it is now is in force, and if not, why.
async fn config(State(admin): State<Admin>) -> Json<Value> {
    let faults = admin.control.fault();
    let faults: Vec<_> = faults
        .iter()
        .flat_map(|faults| &faults.0)
        .map(|fault| json!({ "key": fault.key, "message": fault.message }))
        .collect();
    Json(json!({ "inForce": faults.is_empty(), "faults": faults }))
}

/// The declaration, where its flag stands, and what was counted since the process began.
fn body(admin: &Admin, route: &Route) -> Value {
    let mut body = route.config.declaration();
    let standing = route.flag.as_ref().map(|flag| {
        let state = flag.snapshot();
        json!({
            "percent": state.settings.percent,
            "killed": state.killed,
            "phase": state.phase(),
            "version": state.version,
        })
    });
    body["paths"] = json!(route.config.pattern.as_str());
    body["flagState"] = json!(standing);
    body["stats"] = json!(admin.stats.route(&route.id).snapshot());
    body
}
