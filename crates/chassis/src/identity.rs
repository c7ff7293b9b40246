//! Who calls: verifies access tokens against the issuer's public keys.

mod issuer;
mod verified;

use std::{sync::Arc, time::Duration};

use axum::extract::{FromRef, FromRequestParts};
use contracts::Claims;
use http::{header, request::Parts};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{Jwk, JwkSet},
};
use uuid::Uuid;

use self::{issuer::Issuer, verified::Verified};
use crate::Problem;

/// Clocks of issuer and verifier may differ by this much.
const LEEWAY: Duration = Duration::from_secs(30);

/// Verifies tokens. Clones share the keys.
#[derive(Clone)]
pub struct Verifier {
    source: Source,
    verified: Arc<Verified>,
}

/// Finds a key by its id.
type Find = dyn Fn(&str) -> Option<Jwk> + Send + Sync;

/// Where the keys are.
#[derive(Clone)]
enum Source {
    Here(Arc<Find>),
    Issuer(Arc<Issuer>),
}

impl Verifier {
    /// Knows exactly these keys.
    pub fn fixed(keys: JwkSet) -> Self {
        Self::local(move |id| keys.find(id).cloned())
    }

    /// Asks `find` for the key of each token: for an issuer that verifies its own tokens, with
    /// keys that change while it runs.
    pub fn local(find: impl Fn(&str) -> Option<Jwk> + Send + Sync + 'static) -> Self {
        Self::of(Source::Here(Arc::new(find)))
    }

    /// Fetches keys from a JWKS endpoint when it meets a key id that it does not know, and again
    /// when they are old; keeps them while the endpoint is down.
    pub fn jwks(url: impl Into<String>) -> Self {
        Self::of(Source::Issuer(Arc::new(Issuer::new(url.into()))))
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            verified: Arc::default(),
        }
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
        let key = match &self.source {
            Source::Here(find) => find(&kid),
            Source::Issuer(issuer) => issuer.key(&kid).await?,
        };
        let unknown = || invalid("The token's key is unknown.");
        let jwk = key.ok_or_else(unknown)?;
        if let Some(claims) = self.verified.claims(token, &jwk, LEEWAY) {
            return Ok(claims);
        }
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| unknown())?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY.as_secs();
        validation.set_audience(&[Claims::AUDIENCE]);
        validation.set_issuer(&[Claims::ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = decode::<Claims>(token, &key, &validation)
            .map(|data| data.claims)
            .map_err(|error| invalid(&format!("The token is not valid: {error}.")))?;
        self.verified.keep(token, jwk, claims.clone());
        Ok(claims)
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
