//! Tokens whose signature was checked before: checking it again would give the same.
//!
//! Invariants: what is kept is bounded; a token is found only as long as the very key set that
//! verified it is in force, so that dropping a key drops its tokens; and nothing here says that a
//! token is within its time, which is judged anew for each request.

use std::fmt;
use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::keys::Key;

/// How many tokens are kept: of the users who ask within a token's life, the busy ones.
const MAX_TOKENS: usize = 16 * 1024;
/// The bytes that all tokens together may have: their claims take a few times as much.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The tokens that were verified.
pub(super) struct Verified {
    tokens: Cache<Fingerprint, Arc<Checked>, ByLength>,
}

/// What stands for a token: nobody who reads this process's memory finds the token itself here.
type Fingerprint = [u8; 32];

/// A token's content, and what makes it count.
#[derive(Debug)]
pub(super) struct Checked {
    /// The place of its issuer among the verifier's.
    pub(super) issuer: usize,
    pub(super) claims: Arc<Map<String, Value>>,
    /// The set that its key came from; none for a key that is configured.
    pub(super) keys: Option<Arc<Vec<Key>>>,
    length: usize,
}

#[derive(Debug, Clone)]
struct ByLength;

impl Weighter<Fingerprint, Arc<Checked>> for ByLength {
    fn weight(&self, _: &Fingerprint, checked: &Arc<Checked>) -> u64 {
        checked.length as u64
    }
}

impl Verified {
    pub(super) fn get(&self, token: &str) -> Option<Arc<Checked>> {
        self.tokens.get(&fingerprint(token))
    }

    /// Keeps a token that was just verified.
    pub(super) fn keep(
        &self,
        token: &str,
        issuer: usize,
        claims: Arc<Map<String, Value>>,
        keys: Option<Arc<Vec<Key>>>,
    ) {
        let checked = Checked {
            issuer,
            claims,
            keys,
            length: token.len(),
        };
        self.tokens.insert(fingerprint(token), Arc::new(checked));
    }

    /// Forgets a token that no longer counts.
    pub(super) fn forget(&self, token: &str) {
        self.tokens.remove(&fingerprint(token));
    }
}

impl Checked {
    /// Whether the keys that verified it are still the ones in force.
    pub(super) fn is_by(&self, keys: Option<&Arc<Vec<Key>>>) -> bool {
        match (&self.keys, keys) {
            (None, None) => true,
            (Some(then), Some(now)) => Arc::ptr_eq(then, now),
            _ => false,
        }
    }
}

impl Default for Verified {
    fn default() -> Self {
        Self {
            tokens: Cache::with_weighter(MAX_TOKENS, MAX_BYTES, ByLength),
        }
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("tokens", &self.tokens.len())
            .finish_non_exhaustive()
    }
}

fn fingerprint(token: &str) -> Fingerprint {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(verified: &Verified, token: &str) {
        verified.keep(token, 0, Arc::default(), None);
    }

    #[test]
    fn what_is_kept_is_bounded_by_the_tokens_length() {
        let verified = Verified::default();
        let padding = "x".repeat(16 * 1024);
        for number in 0..2_000 {
            keep(&verified, &format!("{number}{padding}"));
        }
        assert!(verified.tokens.weight() <= MAX_BYTES);
        assert!(verified.tokens.len() >= 100, "{verified:?}");
    }

    #[test]
    fn a_token_counts_with_the_key_set_that_verified_it_and_until_it_is_forgotten() {
        let verified = Verified::default();
        let (then, now) = (Arc::new(Vec::new()), Arc::new(Vec::new()));
        verified.keep("a", 0, Arc::default(), Some(Arc::clone(&then)));
        let checked = verified.get("a").unwrap();
        assert!(checked.is_by(Some(&then)));
        assert!(!checked.is_by(Some(&now)) && !checked.is_by(None));
        verified.forget("a");
        assert!(verified.get("a").is_none());
    }
}
