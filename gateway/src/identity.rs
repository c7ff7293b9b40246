//! Who sends a request, by the token it carries.
//!
//! Invariant: an [`Identity`] exists only for a token whose signature, issuer and audience hold,
//! checked with the one algorithm that its key is for: `none` and a public key used as a shared
//! secret have no way in. Whether it is within its time is a separate word ([`Standing`]), because
//! routing goes on after a token has expired and access does not.

mod jwks;
mod keys;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{self, HeaderMap};
use jsonwebtoken::Validation;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use crate::config::{self, IssuerKey, RouteAuth};
use jwks::Jwks;
use keys::Key;

/// Verifies tokens of the configured issuers.
#[derive(Debug)]
pub struct Verifier {
    settings: config::Auth,
    issuers: Vec<Issuer>,
}

/// A verified token.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    claims: Map<String, Value>,
    standing: Standing,
}

/// Whether a token is within its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is.
    Valid,
    /// `exp` has passed, the leeway included.
    Expired,
    /// `nbf` is still to come.
    NotYetValid,
}

/// Why a request has no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No `Authorization` with a known scheme.
    #[error("no token was sent")]
    Absent,
    /// Not a JWT, or a claim has the wrong type.
    #[error("the token cannot be read")]
    Malformed,
    /// No configured issuer, or not with this scheme.
    #[error("the token's issuer is not known here")]
    UnknownIssuer,
    /// For somebody else.
    #[error("the token is for another audience")]
    WrongAudience,
    /// Signed with a key that the issuer does not have.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The signature does not hold, or the algorithm is not the key's.
    #[error("the token's signature does not hold")]
    BadSignature,
    /// The issuer's keys were never seen and cannot be fetched now.
    #[error("the issuer's keys cannot be fetched")]
    KeysUnavailable,
}

/// Why a route does not let a request in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// 401: no token, or none that counts.
    #[error("{0}")]
    Unauthenticated(TokenError),
    /// 401: it was good once, or will be.
    #[error("the token is not within its time")]
    OutOfTime,
    /// 403: none of the route's roles.
    #[error("the token has none of the roles that this path asks for")]
    MissingRole,
    /// 503: it cannot be known now.
    #[error("the token cannot be checked now")]
    Unverifiable,
}

#[derive(Debug)]
struct Issuer {
    settings: config::Issuer,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    Fixed(Box<Key>),
    /// The configured key cannot be read; its tokens are refused, the rest works.
    Unreadable,
    Fetched(Arc<Jwks>),
}

/// The longest token that is looked at: browsers and servers bound headers much lower.
const MAX_TOKEN: usize = 16 * 1024;

/// True for a public key in PEM that tokens can be verified with.
pub(crate) fn is_public_key(pem: &str) -> bool {
    Key::public(pem).is_some()
}

impl Verifier {
    /// A verifier for these settings. Key sets that `before` has fetched stay known. Fetching runs
    /// on `background`.
    pub fn new(settings: &config::Auth, before: Option<&Self>, background: &Handle) -> Self {
        let issuers = settings
            .issuers
            .iter()
            .map(|issuer| Issuer {
                keys: Keys::of(&issuer.key, before, background),
                settings: issuer.clone(),
            })
            .collect();
        Self {
            settings: settings.clone(),
            issuers,
        }
    }

    /// The settings it was made from.
    pub fn settings(&self) -> &config::Auth {
        &self.settings
    }

    /// The identity that the request's token proves. `now` is the time since the Unix epoch.
    ///
    /// # Errors
    /// Why there is none. Waits (bounded) only when an unknown key makes a fetch worthwhile.
    pub async fn identify(
        &self,
        headers: &HeaderMap,
        now: Duration,
    ) -> Result<Identity, TokenError> {
        let (scheme, token) = token_of(headers).ok_or(TokenError::Absent)?;
        let is_scheme = |issuer: &&Issuer| issuer.settings.scheme.eq_ignore_ascii_case(scheme);
        if !self.issuers.iter().any(|issuer| is_scheme(&issuer)) {
            return Err(TokenError::Absent);
        }
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        let claimed = unverified_claims(token).ok_or(TokenError::Malformed)?;
        let name = claimed
            .get("iss")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let issuer = self
            .issuers
            .iter()
            .filter(is_scheme)
            .find(|issuer| issuer.settings.issuer == name)
            .ok_or(TokenError::UnknownIssuer)?;
        let claims = issuer.verify(token, &header).await?;
        if !issuer.is_audience(&claims) {
            return Err(TokenError::WrongAudience);
        }
        let standing = standing(&claims, now, self.settings.leeway)?;
        Ok(Identity { claims, standing })
    }
}

impl Identity {
    /// The token's `sub`.
    pub fn subject(&self) -> Option<&str> {
        self.claims.get("sub").and_then(Value::as_str)
    }

    /// The token's `roles`, an array of texts.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        let roles = self.claims.get("roles").and_then(Value::as_array);
        roles.into_iter().flatten().filter_map(Value::as_str)
    }

    /// A claim that is a text or a number, as text.
    pub fn claim(&self, name: &str) -> Option<String> {
        match self.claims.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Whether it is within its time.
    pub fn standing(&self) -> Standing {
        self.standing
    }
}

/// Judges a request by one demand of its route.
///
/// # Errors
/// Why it may not pass. A token that is present must be good even where none is required: a client
/// that believes itself logged in must learn that it is not.
pub fn authorize(
    demand: &RouteAuth,
    identity: Result<&Identity, TokenError>,
) -> Result<(), Denied> {
    let identity = match identity {
        Ok(identity) => identity,
        Err(TokenError::Absent) if !demand.required && demand.roles.is_empty() => return Ok(()),
        Err(TokenError::KeysUnavailable) => return Err(Denied::Unverifiable),
        Err(error) => return Err(Denied::Unauthenticated(error)),
    };
    if identity.standing != Standing::Valid {
        return Err(Denied::OutOfTime);
    }
    let has_role = demand.roles.is_empty()
        || identity
            .roles()
            .any(|role| demand.roles.iter().any(|wanted| wanted == role));
    if has_role {
        Ok(())
    } else {
        Err(Denied::MissingRole)
    }
}

impl Keys {
    fn of(key: &IssuerKey, before: Option<&Verifier>, background: &Handle) -> Self {
        let fixed =
            |key: Option<Key>| key.map_or(Self::Unreadable, |key| Self::Fixed(Box::new(key)));
        match key {
            IssuerKey::Secret(secret) => fixed(Some(Key::shared(secret.expose()))),
            IssuerKey::PublicKey(pem) => fixed(Key::public(pem)),
            IssuerKey::JwksUrl(url) => {
                let known = before.and_then(|before| before.key_set(url));
                Self::Fetched(known.unwrap_or_else(|| Jwks::new(url, background.clone())))
            }
        }
    }
}

impl Verifier {
    fn key_set(&self, url: &str) -> Option<Arc<Jwks>> {
        self.issuers.iter().find_map(|issuer| match &issuer.keys {
            Keys::Fetched(jwks) if jwks.url() == url => Some(Arc::clone(jwks)),
            _ => None,
        })
    }
}

impl Issuer {
    async fn verify(
        &self,
        token: &str,
        header: &jsonwebtoken::Header,
    ) -> Result<Map<String, Value>, TokenError> {
        match &self.keys {
            Keys::Fixed(key) => check_signature(key, token),
            Keys::Unreadable => Err(TokenError::UnknownKey),
            Keys::Fetched(jwks) => {
                let keys = jwks.keys_for(header.kid.as_deref()).await?;
                let matching = keys
                    .iter()
                    .filter(|key| key.is_named(header.kid.as_deref()));
                let mut outcome = Err(TokenError::UnknownKey);
                for key in matching {
                    outcome = check_signature(key, token);
                    if outcome.is_ok() {
                        break;
                    }
                }
                outcome
            }
        }
    }

    fn is_audience(&self, claims: &Map<String, Value>) -> bool {
        let Some(expected) = &self.settings.audience else {
            return true;
        };
        match claims.get("aud") {
            Some(Value::String(audience)) => audience == expected,
            Some(Value::Array(audiences)) => audiences
                .iter()
                .any(|audience| audience.as_str() == Some(expected)),
            _ => false,
        }
    }
}

/// The signature only: issuer, audience and time are judged on what this returns.
fn check_signature(key: &Key, token: &str) -> Result<Map<String, Value>, TokenError> {
    let mut validation = Validation::new(key.algorithm());
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Map<String, Value>>(token, key.decoding(), &validation)
        .map(|data| data.claims)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature
            | jsonwebtoken::errors::ErrorKind::InvalidAlgorithm => TokenError::BadSignature,
            _ => TokenError::Malformed,
        })
}

/// A token without `exp` never ends, which nobody means: it counts as unreadable.
fn standing(
    claims: &Map<String, Value>,
    now: Duration,
    leeway: Duration,
) -> Result<Standing, TokenError> {
    let seconds = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_f64()
            .filter(|seconds| seconds.is_finite())
            .map(Some)
            .ok_or(TokenError::Malformed),
    };
    let expires = seconds("exp")?.ok_or(TokenError::Malformed)?;
    let begins = seconds("nbf")?;
    let (now, leeway) = (now.as_secs_f64(), leeway.as_secs_f64());
    Ok(if now - leeway >= expires {
        Standing::Expired
    } else if begins.is_some_and(|begins| now + leeway < begins) {
        Standing::NotYetValid
    } else {
        Standing::Valid
    })
}

/// The scheme and what stands behind it; two `Authorization` headers have no single meaning.
fn token_of(headers: &HeaderMap) -> Option<(&str, &str)> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.trim().split_once(' ')?;
    Some((scheme, token.trim_start()))
}

/// Read only to find out whose key to check with.
fn unverified_claims(token: &str) -> Option<Map<String, Value>> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
#[path = "identity/tests.rs"]
mod tests;
