//! Refresh tokens: opaque, stored as hashes, good for one use.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

/// Bytes of randomness in a token; it can be searched for but not guessed.
pub const TOKEN_LENGTH: usize = 32;

/// How long a player may stay away without having to log in again.
const LIFETIME: Duration = Duration::days(30);

/// A token as the client holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(String);

/// What is stored of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuedToken {
    /// After this instant it is no good.
    pub expires_at: OffsetDateTime,
    /// When it was exchanged for a new one.
    pub used_at: Option<OffsetDateTime>,
}

/// What may be done with a token that somebody presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// Exchange it.
    Good,
    /// It was exchanged before: two parties hold it, one of whom stole it. The whole chain that it
    /// belongs to ends.
    Reused,
    /// Too old.
    Expired,
}

impl RefreshToken {
    /// A token from `bytes` that nobody can guess.
    #[must_use]
    pub fn from_random(bytes: &[u8; TOKEN_LENGTH]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// A token as a client sent it; nonsense is simply unknown.
    #[must_use]
    pub fn presented(text: String) -> Self {
        Self(text)
    }

    /// What the client gets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is stored. A plain hash is enough: there is nothing to guess in 256 random bits.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }

    /// When a token issued `now` expires.
    #[must_use]
    pub fn expiry(now: OffsetDateTime) -> OffsetDateTime {
        now + LIFETIME
    }
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}

impl IssuedToken {
    /// What may be done with it `now`.
    #[must_use]
    pub fn state(&self, now: OffsetDateTime) -> TokenState {
        if self.used_at.is_some() {
            TokenState::Reused
        } else if now >= self.expires_at {
            TokenState::Expired
        } else {
            TokenState::Good
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_again_by_its_hash_alone() {
        let token = RefreshToken::from_random(&[9; TOKEN_LENGTH]);
        let presented = RefreshToken::presented(token.as_str().to_owned());
        assert_eq!(presented.hash(), token.hash());
        assert_ne!(token.hash(), token.as_str().as_bytes());
    }

    #[test]
    fn a_token_is_good_once_and_for_thirty_days() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let token = IssuedToken {
            expires_at: RefreshToken::expiry(now),
            used_at: None,
        };
        assert_eq!(token.state(now), TokenState::Good);
        assert_eq!(token.state(now + Duration::days(30)), TokenState::Expired);
        let used = IssuedToken {
            used_at: Some(now),
            ..token
        };
        assert_eq!(used.state(now), TokenState::Reused);
        assert_eq!(used.state(now + Duration::days(31)), TokenState::Reused);
    }
}
