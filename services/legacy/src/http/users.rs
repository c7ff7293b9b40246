//! What administrators do with users.

use auth::{
    domain::{Refusal, role},
    error::Error,
    http::RawUserFilter,
};
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{get, put},
};
use chassis::{
    Problem,
    http::{Json, Path, Query},
    identity::Caller,
};
use contracts::http::{ManagedUser, RolesChange, UserPage};
use uuid::Uuid;

use super::App;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/api/admin/users", get(list))
        .route("/api/admin/users/{id}", get(show).delete(remove))
        .route("/api/admin/users/{id}/roles", put(set_roles))
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    raw: Result<Query<RawUserFilter>, Problem>,
) -> Result<Json<UserPage>, Problem> {
    caller.require_role(role::ADMIN)?;
    let Query(raw) = raw?;
    Ok(Json(app.accounts.users(&caller, &raw.checked()?).await?))
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ManagedUser>, Problem> {
    caller.require_role(role::ADMIN)?;
    Ok(Json(app.accounts.user(&caller, parse(&id)?).await?))
}

async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.require_role(role::ADMIN)?;
    app.accounts.remove(&caller, parse(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_roles(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<RolesChange>,
) -> Result<Json<ManagedUser>, Problem> {
    caller.require_role(role::ADMIN)?;
    Ok(Json(
        app.accounts.set_roles(&caller, parse(&id)?, &body).await?,
    ))
}

/// What is no id names no user either.
fn parse(id: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(id).map_err(|_| Refusal::UnknownUser.into())
}
