//! Accounts, sessions and who somebody is.

use axum::{extract::State, http::StatusCode};
use chassis::{http::Json, identity::Caller};
use contracts::http::{
    Login, PasswordChange, Profile, ProfilePatch, RefreshToken, Register, Session,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::App;
use crate::error::Error;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(guest))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(profile, rename))
        .routes(routes!(change_password))
}

type Created<T> = (StatusCode, Json<T>);

/// Makes an account, and a session for it.
#[utoipa::path(post, path = "/api/auth/register", operation_id = "accounts_register", tag = "accounts",
    request_body = Register,
    responses((status = 201, body = Session, description = "The account and its first session."),
        (status = 409, description = "The e-mail address is taken (`email_taken`).")))]
async fn register(
    State(app): State<App>,
    Json(body): Json<Register>,
) -> Result<Created<Session>, Error> {
    Ok((
        StatusCode::CREATED,
        Json(app.accounts.register(&body).await?),
    ))
}

/// A session for who knows the password.
#[utoipa::path(post, path = "/api/auth/login", operation_id = "sessions_login", tag = "accounts",
    request_body = Login,
    responses((status = 200, body = Session, description = "A session."),
        (status = 401, description = "Address or password is wrong (`invalid_credentials`).")))]
async fn login(State(app): State<App>, Json(body): Json<Login>) -> Result<Json<Session>, Error> {
    Ok(Json(app.accounts.login(&body).await?))
}

/// A session for somebody who plays without an account.
#[utoipa::path(post, path = "/api/auth/guest", operation_id = "sessions_guest", tag = "accounts",
    responses((status = 201, body = Session, description = "A guest and its session.")))]
async fn guest(State(app): State<App>) -> Result<Created<Session>, Error> {
    Ok((StatusCode::CREATED, Json(app.accounts.guest().await?)))
}

/// Exchanges a refresh token; it is good once.
#[utoipa::path(post, path = "/api/auth/refresh", operation_id = "sessions_refresh", tag = "accounts",
    request_body = RefreshToken,
    responses((status = 200, body = Session, description = "A session with new tokens."),
        (status = 401, description = "The token is not good (`invalid_refresh_token`).")))]
async fn refresh(
    State(app): State<App>,
    Json(body): Json<RefreshToken>,
) -> Result<Json<Session>, Error> {
    Ok(Json(app.accounts.refresh(body).await?))
}

/// Ends the session that the refresh token belongs to.
#[utoipa::path(post, path = "/api/auth/logout", operation_id = "sessions_logout", tag = "accounts",
    request_body = RefreshToken,
    responses((status = 204, description = "It is ended, or never was.")))]
async fn logout(
    State(app): State<App>,
    Json(body): Json<RefreshToken>,
) -> Result<StatusCode, Error> {
    app.accounts.logout(body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who the caller is.
#[utoipa::path(get, path = "/api/auth/profile", operation_id = "profile_show", tag = "accounts",
    security(("bearer" = [])),
    responses((status = 200, body = Profile, description = "The caller.")))]
async fn profile(State(app): State<App>, caller: Caller) -> Result<Json<Profile>, Error> {
    Ok(Json(app.accounts.profile(caller).await?))
}

/// Changes the name that others see.
#[utoipa::path(patch, path = "/api/auth/profile", operation_id = "profile_change", tag = "accounts",
    security(("bearer" = [])), request_body = ProfilePatch,
    responses((status = 200, body = Profile, description = "The caller, changed.")))]
async fn rename(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<ProfilePatch>,
) -> Result<Json<Profile>, Error> {
    Ok(Json(app.accounts.rename(caller, &body).await?))
}

/// Changes the password, and ends all sessions of the caller.
#[utoipa::path(post, path = "/api/auth/password", operation_id = "password_change", tag = "accounts",
    security(("bearer" = [])), request_body = PasswordChange,
    responses((status = 204, description = "It is changed."),
        (status = 401, description = "The current password is wrong (`invalid_credentials`)."),
        (status = 409, description = "The caller has no password (`no_password`).")))]
async fn change_password(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<PasswordChange>,
) -> Result<StatusCode, Error> {
    app.accounts.change_password(&caller, &body).await?;
    Ok(StatusCode::NO_CONTENT)
}
