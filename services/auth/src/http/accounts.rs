//! Accounts, sessions and who somebody is.

use axum::{
    extract::{FromRequest, Request, State},
    http::{StatusCode, header},
};
use chassis::{Problem, http::Json, identity::Caller};
use contracts::http::{
    AccountDeletion, Login, PasswordChange, Profile, ProfilePatch, RefreshToken, Register, Session,
    Upgrade,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::App;
use crate::{error::Error, limits::Client};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(guest))
        .routes(routes!(upgrade))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(logout_everywhere))
        .routes(routes!(profile, rename, leave))
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
        (status = 401, description = "Address or password is wrong (`invalid_credentials`)."),
        (status = 429, description = "Too many wrong ones came before (`too_many_attempts`).")))]
async fn login(
    State(app): State<App>,
    client: Client,
    Json(body): Json<Login>,
) -> Result<Json<Session>, Error> {
    Ok(Json(app.accounts.login(&body, client).await?))
}

/// A session for somebody who plays without an account.
#[utoipa::path(post, path = "/api/auth/guest", operation_id = "sessions_guest", tag = "accounts",
    responses((status = 201, body = Session, description = "A guest and its session.")))]
async fn guest(State(app): State<App>) -> Result<Created<Session>, Error> {
    Ok((StatusCode::CREATED, Json(app.accounts.guest().await?)))
}

/// Makes the calling guest a user, who keeps everything; ends the guest's sessions.
#[utoipa::path(post, path = "/api/auth/upgrade", operation_id = "accounts_upgrade", tag = "accounts",
    security(("bearer" = [])), request_body = Upgrade,
    responses((status = 200, body = Session, description = "A session of the user."),
        (status = 401, description = "No valid token, or the account was deleted (`account_deleted`)."),
        (status = 409, description = "The caller is no guest (`not_a_guest`), or the e-mail address is taken (`email_taken`).")))]
async fn upgrade(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Upgrade>,
) -> Result<Json<Session>, Error> {
    Ok(Json(app.accounts.upgrade(&caller, &body).await?))
}

/// Exchanges a refresh token; it is good once, and a second use ends its session.
#[utoipa::path(post, path = "/api/auth/refresh", operation_id = "sessions_refresh", tag = "accounts",
    request_body = RefreshToken,
    responses((status = 200, body = Session, description = "A session with new tokens."),
        (status = 401, description = "The token is not good (`invalid_refresh_token`)."),
        (status = 429, description = "Too many unknown ones came before (`too_many_attempts`).")))]
async fn refresh(
    State(app): State<App>,
    client: Client,
    Json(body): Json<RefreshToken>,
) -> Result<Json<Session>, Error> {
    Ok(Json(app.accounts.refresh(body, client).await?))
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

/// Ends all sessions of the caller.
#[utoipa::path(post, path = "/api/auth/logout-everywhere", operation_id = "sessions_logout_everywhere", tag = "accounts",
    security(("bearer" = [])),
    responses((status = 204, description = "They are ended."),
        (status = 401, description = "No valid token, or the account was deleted (`account_deleted`).")))]
async fn logout_everywhere(State(app): State<App>, caller: Caller) -> Result<StatusCode, Error> {
    app.accounts.logout_everywhere(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who the caller is.
#[utoipa::path(get, path = "/api/auth/profile", operation_id = "profile_show", tag = "accounts",
    security(("bearer" = [])),
    responses((status = 200, body = Profile, description = "The caller."),
        (status = 401, description = "No valid token, or the account was deleted (`account_deleted`).")))]
async fn profile(State(app): State<App>, caller: Caller) -> Result<Json<Profile>, Error> {
    Ok(Json(app.accounts.profile(&caller).await?))
}

/// Changes the name that others see.
#[utoipa::path(patch, path = "/api/auth/profile", operation_id = "profile_change", tag = "accounts",
    security(("bearer" = [])), request_body = ProfilePatch,
    responses((status = 200, body = Profile, description = "The caller, changed."),
        (status = 401, description = "No valid token, or the account was deleted (`account_deleted`).")))]
async fn rename(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<ProfilePatch>,
) -> Result<Json<Profile>, Error> {
    Ok(Json(app.accounts.rename(&caller, &body).await?))
}

/// Deletes the caller's account everywhere. A body is only needed where there is a password.
#[utoipa::path(delete, path = "/api/auth/profile", operation_id = "profile_delete", tag = "accounts",
    security(("bearer" = [])), request_body = Option<AccountDeletion>,
    responses((status = 204, description = "It is deleted; every service forgets the user."),
        (status = 401, description = "No valid token, the password is wrong (`invalid_credentials`), or the account was deleted before (`account_deleted`)."),
        (status = 409, description = "The caller is the last administrator (`last_administrator`)."),
        (status = 429, description = "Too many wrong passwords came before (`too_many_attempts`).")))]
async fn leave(
    State(app): State<App>,
    client: Client,
    caller: Caller,
    Farewell(body): Farewell,
) -> Result<StatusCode, Error> {
    app.accounts.leave(&caller, client, &body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes the password, and ends all sessions of the caller.
#[utoipa::path(post, path = "/api/auth/password", operation_id = "password_change", tag = "accounts",
    security(("bearer" = [])), request_body = PasswordChange,
    responses((status = 204, description = "It is changed."),
        (status = 401, description = "No valid token, the current password is wrong (`invalid_credentials`), or the account was deleted (`account_deleted`)."),
        (status = 409, description = "The caller has no password (`no_password`)."),
        (status = 429, description = "Too many wrong passwords came before (`too_many_attempts`).")))]
async fn change_password(
    State(app): State<App>,
    client: Client,
    caller: Caller,
    Json(body): Json<PasswordChange>,
) -> Result<StatusCode, Error> {
    app.accounts.change_password(&caller, client, &body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The body of a deletion; none at all is an empty one.
pub struct Farewell(pub AccountDeletion);

impl<S: Send + Sync> FromRequest<S> for Farewell {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers();
        let length = headers.get(header::CONTENT_LENGTH);
        let is_empty = length.is_none_or(|length| length == "0")
            && !headers.contains_key(header::TRANSFER_ENCODING)
            && !headers.contains_key(header::CONTENT_TYPE);
        if is_empty {
            return Ok(Self(AccountDeletion { password: None }));
        }
        let Json(body) = Json::<Option<AccountDeletion>>::from_request(request, state).await?;
        Ok(Self(body.unwrap_or(AccountDeletion { password: None })))
    }
}
