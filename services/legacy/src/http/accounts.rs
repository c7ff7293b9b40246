//! Accounts and tokens. Providers to sign in with are the auth service's alone; here there are
//! none, as there without configuration.

use auth::{error::Error, http::Farewell, keys::JWKS_MAX_AGE, limits::Client, oidc};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use chassis::{http::Json, identity::Caller};
use contracts::http::{
    Items, Login, PasswordChange, PasswordForgotten, PasswordReset, Profile, ProfilePatch,
    RefreshToken, Register, Session, SignInCode, SignInProvider, Upgrade,
};

use super::App;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/api/auth/register", post(register))
        .route("/api/auth/login", post(login))
        .route("/api/auth/guest", post(guest))
        .route("/api/auth/upgrade", post(upgrade))
        .route("/api/auth/refresh", post(refresh))
        .route("/api/auth/logout", post(logout))
        .route("/api/auth/logout-everywhere", post(logout_everywhere))
        .route(
            "/api/auth/profile",
            get(profile).patch(rename).delete(leave),
        )
        .route("/api/auth/password", post(change_password))
        .route("/api/auth/password/forgot", post(forgot))
        .route("/api/auth/password/reset", post(reset))
        .route("/api/auth/oidc", get(providers))
        .route("/api/auth/oidc/session", post(provided_session))
        .route("/api/auth/oidc/{provider}", get(no_provider))
        .route("/api/auth/oidc/{provider}/callback", get(no_provider))
        .route("/api/auth/oidc/{provider}/link", post(no_provider_to_link))
        .route("/.well-known/jwks.json", get(jwks))
}

type Created<T> = (StatusCode, Json<T>);

async fn register(
    State(app): State<App>,
    Json(body): Json<Register>,
) -> Result<Created<Session>, Error> {
    Ok((
        StatusCode::CREATED,
        Json(app.accounts.register(&body).await?),
    ))
}

async fn login(
    State(app): State<App>,
    client: Client,
    Json(body): Json<Login>,
) -> Result<Json<Session>, Error> {
    Ok(Json(app.accounts.login(&body, client).await?))
}

async fn guest(State(app): State<App>) -> Result<Created<Session>, Error> {
    Ok((StatusCode::CREATED, Json(app.accounts.guest().await?)))
}

async fn upgrade(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Upgrade>,
) -> Result<Json<Session>, Error> {
    Ok(Json(app.accounts.upgrade(&caller, &body).await?))
}

async fn refresh(
    State(app): State<App>,
    client: Client,
    Json(body): Json<RefreshToken>,
) -> Result<Json<Session>, Error> {
    Ok(Json(app.accounts.refresh(body, client).await?))
}

async fn logout(
    State(app): State<App>,
    Json(body): Json<RefreshToken>,
) -> Result<StatusCode, Error> {
    app.accounts.logout(body).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn logout_everywhere(State(app): State<App>, caller: Caller) -> Result<StatusCode, Error> {
    app.accounts.logout_everywhere(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn profile(State(app): State<App>, caller: Caller) -> Result<Json<Profile>, Error> {
    Ok(Json(app.accounts.profile(&caller).await?))
}

async fn rename(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<ProfilePatch>,
) -> Result<Json<Profile>, Error> {
    Ok(Json(app.accounts.rename(&caller, &body).await?))
}

async fn leave(
    State(app): State<App>,
    client: Client,
    caller: Caller,
    Farewell(body): Farewell,
) -> Result<StatusCode, Error> {
    app.accounts.leave(&caller, client, &body).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn change_password(
    State(app): State<App>,
    client: Client,
    caller: Caller,
    Json(body): Json<PasswordChange>,
) -> Result<StatusCode, Error> {
    app.accounts.change_password(&caller, client, &body).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn forgot(
    State(app): State<App>,
    client: Client,
    Json(body): Json<PasswordForgotten>,
) -> Result<StatusCode, Error> {
    app.accounts.forgot(&body, client).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn reset(
    State(app): State<App>,
    client: Client,
    Json(body): Json<PasswordReset>,
) -> Result<StatusCode, Error> {
    app.accounts.reset(body, client).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn providers() -> Json<Items<SignInProvider>> {
    Json(Items { items: Vec::new() })
}

async fn provided_session(Json(_): Json<SignInCode>) -> oidc::Error {
    oidc::Error::InvalidSessionCode
}

async fn no_provider() -> oidc::Error {
    oidc::Error::UnknownProvider
}

async fn no_provider_to_link(_: Caller) -> oidc::Error {
    oidc::Error::UnknownProvider
}

async fn jwks(State(app): State<App>) -> impl IntoResponse {
    let cache = format!("public, max-age={}", JWKS_MAX_AGE.as_secs());
    ([(header::CACHE_CONTROL, cache)], Json(app.keys.jwks()))
}
