//! Reset tokens: what a mail brings to whoever forgot a password.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use super::TOKEN_LENGTH;

/// How long after the mail was sent its token is good: the time of reading it, not of losing it.
const LIFETIME: Duration = Duration::minutes(30);

/// A token as the mail shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct ResetToken(String);

impl ResetToken {
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

    /// What the mail shows.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is stored. The prefix keeps it from being any other token's hash.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        let mut digest = Sha256::new_with_prefix(b"reset:");
        digest.update(self.0.as_bytes());
        digest.finalize().to_vec()
    }

    /// When a token issued `now` expires.
    #[must_use]
    pub fn expiry(now: OffsetDateTime) -> OffsetDateTime {
        now + LIFETIME
    }
}

impl std::fmt::Debug for ResetToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResetToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_again_by_its_hash_alone() {
        let token = ResetToken::from_random(&[9; TOKEN_LENGTH]);
        let presented = ResetToken::presented(token.as_str().to_owned());
        assert_eq!(presented.hash(), token.hash());
        assert_ne!(token.hash(), token.as_str().as_bytes());
        assert!(!format!("{token:?}").contains(token.as_str()));
    }
}
