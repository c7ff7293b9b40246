//! What administrators do with users.

use axum::{extract::State, http::StatusCode};
use chassis::{
    Problem,
    http::{Json, Path, Query},
    identity::Caller,
};
use contracts::http::{ManagedUser, RolesChange, UserPage};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::App;
use crate::{
    accounts::UserFilter,
    domain::{Refusal, role},
    error::Error,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, remove))
        .routes(routes!(set_roles))
}

/// Which users a list shows, as it arrives. Legacy reads the same.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RawUserFilter {
    /// Part of the e-mail address or of the name, in whatever case.
    #[param(max_length = 254, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    query: Option<String>,
    /// Only those who have this role.
    #[param(inline)]
    role: Option<Held>,
    /// Users on a page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// The `nextCursor` of the page before, unchanged, with the same filter.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// A role that somebody has.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Held {
    User,
    Guest,
    Admin,
}

impl RawUserFilter {
    /// Checks it.
    ///
    /// # Errors
    /// 400, naming the parameter.
    pub fn checked(&self) -> Result<UserFilter, Problem> {
        let role = self.role.map(|held| match held {
            Held::User => role::USER,
            Held::Guest => role::GUEST,
            Held::Admin => role::ADMIN,
        });
        UserFilter::new(
            self.query.as_deref(),
            role,
            self.limit,
            self.cursor.as_deref(),
        )
    }
}

/// The users, page by page.
#[utoipa::path(get, path = "/api/admin/users", operation_id = "users_list", tag = "users",
    params(RawUserFilter), security(("bearer" = [])),
    responses((status = 200, body = UserPage, description = "A page, by id.")))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    raw: Result<Query<RawUserFilter>, Problem>,
) -> Result<Json<UserPage>, Problem> {
    caller.require_role(role::ADMIN)?;
    let Query(raw) = raw?;
    Ok(Json(app.accounts.users(&caller, &raw.checked()?).await?))
}

/// One user.
#[utoipa::path(get, path = "/api/admin/users/{id}", operation_id = "users_show", tag = "users",
    params(("id" = Uuid, Path, description = "The user.")), security(("bearer" = [])),
    responses((status = 200, body = ManagedUser, description = "The user."),
        (status = 404, description = "There is no such user (`user_not_found`).")))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ManagedUser>, Problem> {
    caller.require_role(role::ADMIN)?;
    Ok(Json(app.accounts.user(&caller, parse(&id)?).await?))
}

/// Deletes a user's account everywhere.
#[utoipa::path(delete, path = "/api/admin/users/{id}", operation_id = "users_delete", tag = "users",
    params(("id" = Uuid, Path, description = "The user.")), security(("bearer" = [])),
    responses((status = 204, description = "It is deleted; every service forgets the user."),
        (status = 404, description = "There is no such user (`user_not_found`)."),
        (status = 409, description = "It is the last administrator (`last_administrator`).")))]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.require_role(role::ADMIN)?;
    app.accounts.remove(&caller, parse(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says what a user is from now on, and ends the user's sessions.
#[utoipa::path(put, path = "/api/admin/users/{id}/roles", operation_id = "users_set_roles", tag = "users",
    params(("id" = Uuid, Path, description = "The user.")), security(("bearer" = [])),
    request_body = RolesChange,
    responses((status = 200, body = ManagedUser, description = "The user, changed."),
        (status = 404, description = "There is no such user (`user_not_found`)."),
        (status = 409, description = "It is the last administrator (`last_administrator`), or a guest (`guest_has_no_roles`).")))]
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
