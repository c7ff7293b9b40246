//! One issuer: its keys, and what they say of a token's signature.

use std::sync::Arc;

use jsonwebtoken::Validation;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::TokenError;
use super::jwks::{Jwks, Source};
use super::keys::Key;
use crate::config::{self, IssuerKey};

/// An issuer and what verifies its tokens.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) settings: config::Issuer,
    pub(super) keys: Keys,
}

/// Keys that were fetched together.
pub(super) type KeySet = Arc<Vec<Key>>;

/// What verifies an issuer's tokens.
#[derive(Debug)]
pub(super) enum Keys {
    Fixed(Box<Key>),
    /// The configured key cannot be read; its tokens are refused, the rest works.
    Unreadable,
    Fetched(Arc<Jwks>),
}

impl Keys {
    /// The keys of an issuer; a set that is `known` is taken over.
    pub(super) fn of(
        issuer: &config::Issuer,
        ca: Option<&str>,
        known: impl Fn(&Source) -> Option<Arc<Jwks>>,
        background: &Handle,
    ) -> Self {
        let fixed =
            |key: Option<Key>| key.map_or(Self::Unreadable, |key| Self::Fixed(Box::new(key)));
        match &issuer.key {
            IssuerKey::Secret(secret) => fixed(Key::shared(secret.expose(), issuer.algorithm)),
            IssuerKey::PublicKey(pem) => fixed(Key::public(pem, issuer.algorithm)),
            IssuerKey::JwksUrl(url) => {
                let source = Source {
                    url: url.clone(),
                    ca: ca.map(str::to_owned),
                    algorithm: issuer.algorithm,
                    refresh: issuer.refresh,
                };
                let known = known(&source);
                Self::Fetched(known.unwrap_or_else(|| Jwks::new(source, background.clone())))
            }
        }
    }
}

impl Issuer {
    /// The claims of a token that one of the issuer's keys has signed, and the set that the key came
    /// from where it was fetched.
    pub(super) async fn verify(
        &self,
        token: &str,
        header: &jsonwebtoken::Header,
    ) -> Result<(Map<String, Value>, Option<KeySet>), TokenError> {
        match &self.keys {
            Keys::Fixed(key) => Ok((check_signature(key, token)?, None)),
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
                Ok((outcome?, Some(keys)))
            }
        }
    }

    /// The fetched keys that are in force.
    pub(super) fn key_set(&self) -> Option<KeySet> {
        match &self.keys {
            Keys::Fetched(jwks) => Some(jwks.in_force()),
            Keys::Fixed(_) | Keys::Unreadable => None,
        }
    }

    pub(super) fn is_audience(&self, claims: &Map<String, Value>) -> bool {
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
