//! The public paths of this service: what comes in, and what it is answered with.

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRef, State},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use chassis::{
    http::Json,
    identity::{Caller, Verifier},
};
use contracts::http::{
    Login, PasswordChange, Profile, ProfilePatch, RefreshToken, Register, Session,
};
use jsonwebtoken::jwk::JwkSet;

use crate::{accounts::Accounts, error::Error, keys::SigningKey};

/// Verifiers may keep the keys this long; a token with an unknown key makes them ask at once.
const JWKS_CACHE: &str = "public, max-age=300";

#[derive(Clone)]
struct App {
    accounts: Accounts,
    verifier: Verifier,
    jwks: Arc<JwkSet>,
}

impl FromRef<App> for Verifier {
    fn from_ref(app: &App) -> Self {
        app.verifier.clone()
    }
}

/// The public API.
pub fn router(accounts: Accounts, key: &SigningKey) -> Router {
    let verifier = Verifier::fixed(key.jwks());
    let app = App {
        accounts,
        verifier,
        jwks: Arc::new(key.jwks()),
    };
    Router::new()
        .route("/api/auth/register", post(register))
        .route("/api/auth/login", post(login))
        .route("/api/auth/guest", post(guest))
        .route("/api/auth/refresh", post(refresh))
        .route("/api/auth/logout", post(logout))
        .route("/api/auth/profile", get(profile).patch(rename))
        .route("/api/auth/password", post(change_password))
        .route("/.well-known/jwks.json", get(jwks))
        .with_state(app)
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

async fn login(State(app): State<App>, Json(body): Json<Login>) -> Result<Json<Session>, Error> {
    Ok(Json(app.accounts.login(&body).await?))
}

async fn guest(State(app): State<App>) -> Result<Created<Session>, Error> {
    Ok((StatusCode::CREATED, Json(app.accounts.guest().await?)))
}

async fn refresh(
    State(app): State<App>,
    Json(body): Json<RefreshToken>,
) -> Result<Json<Session>, Error> {
    Ok(Json(app.accounts.refresh(body).await?))
}

async fn logout(
    State(app): State<App>,
    Json(body): Json<RefreshToken>,
) -> Result<StatusCode, Error> {
    app.accounts.logout(body).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn profile(State(app): State<App>, caller: Caller) -> Result<Json<Profile>, Error> {
    Ok(Json(app.accounts.profile(caller).await?))
}

async fn rename(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<ProfilePatch>,
) -> Result<Json<Profile>, Error> {
    Ok(Json(app.accounts.rename(caller, &body).await?))
}

async fn change_password(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<PasswordChange>,
) -> Result<StatusCode, Error> {
    app.accounts.change_password(&caller, &body).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn jwks(State(app): State<App>) -> impl IntoResponse {
    (
        [(header::CACHE_CONTROL, JWKS_CACHE)],
        Json(app.jwks.as_ref().clone()),
    )
}
