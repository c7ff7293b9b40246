//! Who sends a request, by the token it carries.
//!
//! Invariant: an [`Identity`] exists only for a token whose signature, issuer and audience hold,
//! checked with the one algorithm that its key is for: `none` and a public key used as a shared
//! secret have no way in. Whether it is within its time is a separate word ([`Standing`]), because
//! routing goes on after a token has expired and access does not.

mod access;
mod issuer;
mod jwks;
mod keys;
mod session;
mod transport;
mod verified;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{self, HeaderMap};
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use crate::config::{self, IssuerKey};
pub use access::{Denied, authorize};
use issuer::{Issuer, Keys};
use jwks::{Jwks, Source};
use keys::Key;
use session::Sessions;
pub use session::{SessionCounts, SessionSnapshot};
pub(crate) use transport::are_roots;
use verified::Verified;

/// Verifies tokens of the configured issuers.
#[derive(Debug)]
pub struct Verifier {
    settings: config::Auth,
    issuers: Vec<Issuer>,
    sessions: Option<Arc<Sessions>>,
    verified: Verified,
}

/// A verified token, or a session that its server vouches for.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    claims: Arc<Map<String, Value>>,
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
    /// A session that was good when it was last asked about; now nobody can be asked.
    Unconfirmed,
}

/// Why a request has no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No `Authorization` with a known scheme.
    #[error("no token was sent")]
    Absent,
    /// More than one `Authorization`: servers behind could read either.
    #[error("more than one Authorization was sent")]
    Several,
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
    /// Whoever knows the sessions does not answer.
    #[error("the session cannot be asked about")]
    SessionsUnavailable,
}

/// The longest token that is looked at: browsers and servers bound headers much lower.
const MAX_TOKEN: usize = 16 * 1024;

/// True for a public key in PEM that tokens can be verified with.
pub(crate) fn is_public_key(pem: &str) -> bool {
    Key::public(pem, None).is_some()
}

/// True when a key can be for this algorithm; what a set is for shows only when it is fetched.
pub(crate) fn suits(key: &IssuerKey, algorithm: Algorithm) -> bool {
    match key {
        IssuerKey::Secret(secret) => Key::shared(secret.expose(), Some(algorithm)).is_some(),
        IssuerKey::PublicKey(pem) => Key::public(pem, Some(algorithm)).is_some(),
        IssuerKey::JwksUrl(_) => algorithm.family() == AlgorithmFamily::Rsa,
    }
}

impl Verifier {
    /// A verifier for these settings. Key sets that `before` has fetched stay known, and so do
    /// sessions as long as their settings are the same. Both are asked for on `background`.
    pub fn new(
        settings: &config::Auth,
        before: Option<&Self>,
        background: &Handle,
        counts: &Arc<SessionCounts>,
    ) -> Self {
        let mut verifier = Self {
            settings: settings.clone(),
            issuers: Vec::new(),
            sessions: None,
            verified: Verified::default(),
        };
        for issuer in &settings.issuers {
            let known = |source: &Source| {
                let before = before.and_then(|before| before.key_set(source));
                verifier.key_set(source).or(before)
            };
            let keys = Keys::of(issuer, settings.ca.as_deref(), known, background);
            verifier.issuers.push(Issuer {
                settings: issuer.clone(),
                keys,
            });
        }
        verifier.sessions = settings.forward.as_ref().map(|forward| {
            let ca = settings.ca.as_deref();
            let before = before.and_then(|before| before.sessions.as_ref());
            match before.filter(|before| before.is_for(forward, ca)) {
                Some(before) => Arc::clone(before),
                None => Sessions::new(forward, ca, background.clone(), Arc::clone(counts)),
            }
        });
        verifier
    }

    /// The settings it was made from.
    pub fn settings(&self) -> &config::Auth {
        &self.settings
    }

    /// Who sends the request: by its token, or else by the session that `[auth.forward]` knows. A
    /// question about that counts as the client's.
    ///
    /// # Errors
    /// Why it is nobody. A token of a known issuer is judged by that issuer's keys alone, and what is
    /// wrong with it is never made good by a session.
    pub async fn recognize(
        &self,
        headers: &HeaderMap,
        client: IpAddr,
        now: Duration,
    ) -> Result<Identity, TokenError> {
        let by_token = if headers.contains_key(header::AUTHORIZATION) {
            self.identify(headers, now).await
        } else {
            Err(TokenError::Absent)
        };
        match (by_token, &self.sessions) {
            (Err(error), Some(sessions)) if self.may_be_session(error, sessions, headers) => {
                sessions
                    .identify(headers, client)
                    .await
                    .map_err(|why| match why {
                        TokenError::Absent => error,
                        why => why,
                    })
            }
            (by_token, _) => by_token,
        }
    }

    /// What is no token of a known issuer may be a session's, where its header is one to ask with.
    fn may_be_session(&self, error: TokenError, sessions: &Sessions, headers: &HeaderMap) -> bool {
        match error {
            TokenError::Absent => true,
            TokenError::UnknownIssuer => sessions.asks_with(&header::AUTHORIZATION),
            TokenError::Malformed => {
                let claims = token_of(headers).map(|(_, token)| unverified_claims(token));
                let claims = claims.ok().flatten();
                let name = claims.as_ref().and_then(|claims| claims.get("iss"));
                let is_ours = |issuer: &Issuer| {
                    name.is_some_and(|name| *name == issuer.settings.issuer.as_str())
                };
                sessions.asks_with(&header::AUTHORIZATION) && !self.issuers.iter().any(is_ours)
            }
            _ => false,
        }
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
        let (scheme, token) = token_of(headers)?;
        let is_scheme = |issuer: &&Issuer| issuer.settings.scheme.eq_ignore_ascii_case(scheme);
        if !self.issuers.iter().any(|issuer| is_scheme(&issuer)) {
            return Err(TokenError::Absent);
        }
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Malformed);
        }
        if let Some(identity) = self.known(scheme, token, now) {
            return Ok(identity);
        }
        // Keys that the token itself brings or points to (`jwk`, `jku`, `x5u`, `x5c`) are never
        // looked at; what it calls critical nobody here understands (RFC 7515 §4.1.11).
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let claimed = unverified_claims(token).ok_or(TokenError::Malformed)?;
        let name = claimed
            .get("iss")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let named = |issuer: &Issuer| is_scheme(&issuer) && issuer.settings.issuer == name;
        let place = self.issuers.iter().position(named);
        let place = place.ok_or(TokenError::UnknownIssuer)?;
        let issuer = &self.issuers[place];
        let (claims, keys) = issuer.verify(token, &header).await?;
        if !issuer.is_audience(&claims) {
            return Err(TokenError::WrongAudience);
        }
        let standing = standing(&claims, now, self.settings.leeway)?;
        let claims = Arc::new(claims);
        if standing == Standing::Valid {
            self.verified.keep(token, place, Arc::clone(&claims), keys);
        }
        Ok(Identity { claims, standing })
    }

    /// The identity of a token that was verified before, as long as the same keys are in force and it
    /// is within its time; else it has to go the whole way again.
    fn known(&self, scheme: &str, token: &str, now: Duration) -> Option<Identity> {
        let checked = self.verified.get(token)?;
        let issuer = &self.issuers[checked.issuer];
        let standing = standing(&checked.claims, now, self.settings.leeway).ok()?;
        let holds = issuer.settings.scheme.eq_ignore_ascii_case(scheme)
            && checked.is_by(issuer.key_set().as_ref());
        if !holds || standing != Standing::Valid {
            self.verified.forget(token);
            return None;
        }
        let claims = Arc::clone(&checked.claims);
        Some(Identity { claims, standing })
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

    /// Whether it has this scope: in `scope`, a text of words (RFC 8693), or `scp`, a list or such a
    /// text.
    pub fn has_scope(&self, scope: &str) -> bool {
        ["scope", "scp"]
            .into_iter()
            .filter_map(|name| self.claims.get(name))
            .any(|claim| match claim {
                Value::String(words) => words.split(' ').any(|word| word == scope),
                Value::Array(words) => words.iter().any(|word| word.as_str() == Some(scope)),
                _ => false,
            })
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

impl Verifier {
    fn key_set(&self, source: &Source) -> Option<Arc<Jwks>> {
        self.issuers.iter().find_map(|issuer| match &issuer.keys {
            Keys::Fetched(jwks) if jwks.source() == source => Some(Arc::clone(jwks)),
            _ => None,
        })
    }
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
fn token_of(headers: &HeaderMap) -> Result<(&str, &str), TokenError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(TokenError::Absent)?;
    if values.next().is_some() {
        return Err(TokenError::Several);
    }
    let value = value.to_str().map_err(|_| TokenError::Absent)?;
    let (scheme, token) = value.trim().split_once(' ').ok_or(TokenError::Absent)?;
    Ok((scheme, token.trim_start()))
}

/// Read only to find out whose key to check with.
fn unverified_claims(token: &str) -> Option<Map<String, Value>> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
#[path = "identity/tests.rs"]
mod tests;
