//! The browser that a sign-in was begun in: a secret that it keeps in a cookie, and secrets that
//! stand for a sign-in. Pure.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Bytes of randomness in a secret; it can be searched for but not guessed.
const LENGTH: usize = 32;

/// Characters of a secret as it is written.
const WRITTEN: usize = 43;

/// Something that only one party holds; stored as a hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// One that nobody can guess.
    #[must_use]
    pub fn random() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; LENGTH]>()))
    }

    /// One that came from outside; none where it cannot be one of ours.
    #[must_use]
    pub fn presented(text: &str) -> Option<Self> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (text.len() == WRITTEN && text.bytes().all(is_plain)).then(|| Self(text.to_owned()))
    }

    /// What its holder gets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is stored. A plain hash is enough: there is nothing to guess in 256 random bits.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_again_by_its_hash_alone() {
        let secret = Secret::random();
        let presented = Secret::presented(secret.as_str()).unwrap();
        assert_eq!(presented.hash(), secret.hash());
        assert_ne!(secret.hash(), Secret::random().hash());
        assert!(!format!("{secret:?}").contains(secret.as_str()));
    }

    #[test]
    fn what_cannot_be_a_secret_is_none() {
        let long = "x".repeat(44);
        for text in ["", "short", &long, &"\0".repeat(43), &"ä".repeat(21)] {
            assert_eq!(Secret::presented(text), None);
        }
    }
}
