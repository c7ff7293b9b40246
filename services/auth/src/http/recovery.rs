//! Ways back into an account.

use axum::{extract::State, http::StatusCode};
use chassis::http::Json;
use contracts::http::{PasswordForgotten, PasswordReset};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::App;
use crate::{error::Error, limits::Client};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(forgot))
        .routes(routes!(reset))
}

/// Asks for a mail with a way to a new password. The answer does not tell whether there is such an
/// account.
#[utoipa::path(post, path = "/api/auth/password/forgot", operation_id = "password_forgot", tag = "accounts",
    request_body = PasswordForgotten,
    responses((status = 202, description = "If there is such an account, a mail is on its way."),
        (status = 429, description = "Too many mails were asked for (`too_many_attempts`).")))]
async fn forgot(
    State(app): State<App>,
    client: Client,
    Json(body): Json<PasswordForgotten>,
) -> Result<StatusCode, Error> {
    app.accounts.forgot(&body, client).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Sets a new password with the token of the newest mail, and ends all sessions of the user.
#[utoipa::path(post, path = "/api/auth/password/reset", operation_id = "password_reset", tag = "accounts",
    request_body = PasswordReset,
    responses((status = 204, description = "It is set."),
        (status = 401, description = "The token is not good, or not any more (`invalid_reset_token`)."),
        (status = 429, description = "Too many unknown ones came before (`too_many_attempts`).")))]
async fn reset(
    State(app): State<App>,
    client: Client,
    Json(body): Json<PasswordReset>,
) -> Result<StatusCode, Error> {
    app.accounts.reset(body, client).await?;
    Ok(StatusCode::NO_CONTENT)
}
