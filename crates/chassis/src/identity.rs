//! Who calls: verifies access tokens against the issuer's public keys.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::extract::{FromRef, FromRequestParts};
use contracts::Claims;
use http::{header, request::Parts};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::Problem;

/// Clocks of issuer and verifier may differ by this much.
const LEEWAY: Duration = Duration::from_secs(30);
/// An unknown key id asks the issuer again at most this often, so that forged ids cost nothing.
const REFRESH_EVERY: Duration = Duration::from_secs(1);
/// The issuer answers within this or counts as down.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Verifies tokens. Clones share the keys.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    url: Option<String>,
    client: reqwest::Client,
    keys: std::sync::RwLock<JwkSet>,
    /// When the issuer was asked last, and whether it answered; held while asking, so that one
    /// request asks for all.
    asked: Mutex<Option<(Instant, Answered)>>,
}

/// How an issuer took the last question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    Yes,
    No,
}

impl Verifier {
    /// Knows exactly these keys.
    pub fn fixed(keys: JwkSet) -> Self {
        Self::new(None, keys)
    }

    /// Fetches keys from a JWKS endpoint when it meets a key id that it does not know; keeps the
    /// old ones while the endpoint is down.
    pub fn jwks(url: impl Into<String>) -> Self {
        Self::new(Some(url.into()), JwkSet { keys: Vec::new() })
    }

    fn new(url: Option<String>, keys: JwkSet) -> Self {
        Self(Arc::new(Inner {
            url,
            client: reqwest::Client::new(),
            keys: std::sync::RwLock::new(keys),
            asked: Mutex::new(None),
        }))
    }

    /// The claims of a valid token.
    ///
    /// # Errors
    /// 401 `unauthenticated` for a bad one; 503 when the keys cannot be had.
    pub async fn verify(&self, token: &str) -> Result<Claims, Problem> {
        let invalid = |detail: &str| Problem::unauthorized("unauthenticated", detail);
        let header = decode_header(token).map_err(|_| invalid("The token cannot be read."))?;
        let kid = header
            .kid
            .ok_or_else(|| invalid("The token names no key."))?;
        let key = match self.key(&kid) {
            Some(key) => key,
            None => {
                self.refresh().await?;
                self.key(&kid)
                    .ok_or_else(|| invalid("The token's key is unknown."))?
            }
        };
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY.as_secs();
        validation.set_audience(&[Claims::AUDIENCE]);
        validation.set_issuer(&[Claims::ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        decode::<Claims>(token, &key, &validation)
            .map(|data| data.claims)
            .map_err(|error| invalid(&format!("The token is not valid: {error}.")))
    }

    fn key(&self, kid: &str) -> Option<DecodingKey> {
        let keys = self
            .0
            .keys
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        keys.find(kid)
            .and_then(|jwk| DecodingKey::from_jwk(jwk).ok())
    }

    async fn refresh(&self) -> Result<(), Problem> {
        let Some(url) = &self.0.url else {
            return Ok(());
        };
        let mut asked = self.0.asked.lock().await;
        match *asked {
            Some((at, Answered::Yes)) if at.elapsed() < REFRESH_EVERY => return Ok(()),
            Some((at, Answered::No)) if at.elapsed() < REFRESH_EVERY => {
                return Err(Problem::dependency(
                    "token issuer",
                    &"it did not answer just now",
                ));
            }
            _ => {}
        }
        let fetch = async {
            self.0
                .client
                .get(url)
                .send()
                .await?
                .error_for_status()?
                .json::<JwkSet>()
                .await
        };
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, fetch).await;
        match fetched {
            Ok(Ok(keys)) => {
                *self
                    .0
                    .keys
                    .write()
                    .unwrap_or_else(std::sync::PoisonError::into_inner) = keys;
                *asked = Some((Instant::now(), Answered::Yes));
                Ok(())
            }
            failed => {
                *asked = Some((Instant::now(), Answered::No));
                let cause = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => "no answer in time".to_owned(),
                };
                Err(Problem::dependency("token issuer", &cause))
            }
        }
    }
}

/// The caller that a valid access token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's `sub`.
    pub user_id: Uuid,
    /// The token's `name`.
    pub display_name: String,
    /// The token's `roles`.
    pub roles: Vec<String>,
}

impl Caller {
    /// Lets only callers with `role` pass.
    ///
    /// # Errors
    /// 403 `forbidden`.
    pub fn require_role(&self, role: &str) -> Result<(), Problem> {
        if self.roles.iter().any(|held| held == role) {
            return Ok(());
        }
        Err(Problem::forbidden(
            "forbidden",
            format!("This needs the role {role}."),
        ))
    }
}

impl From<Claims> for Caller {
    fn from(claims: Claims) -> Self {
        Self {
            user_id: claims.sub,
            display_name: claims.name,
            roles: claims.roles,
        }
    }
}

/// The caller where a token is sent (a bad one is still refused), else nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionalCaller(pub Option<Caller>);

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let OptionalCaller(caller) = OptionalCaller::from_request_parts(parts, state).await?;
        caller
            .ok_or_else(|| Problem::unauthorized("unauthenticated", "This needs an access token."))
    }
}

impl<S> FromRequestParts<S> for OptionalCaller
where
    S: Send + Sync,
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::AUTHORIZATION) else {
            return Ok(Self(None));
        };
        let token = value
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| {
                Problem::unauthorized("unauthenticated", "Authorization must be a bearer token.")
            })?;
        let verifier = Verifier::from_ref(state);
        Ok(Self(Some(verifier.verify(token).await?.into())))
    }
}
