//! Tokens whose signature was checked before: checking it again would give the same.
//!
//! Invariants: what is kept is bounded; a token counts only while the very key that verified it is
//! what its key id stands for; and whether it is within its time is judged anew each time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contracts::Claims;
use jsonwebtoken::jwk::Jwk;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

/// How many tokens are kept: of the users who ask within a token's life, the busy ones. A claim takes
/// less than a kilobyte.
const MAX_TOKENS: usize = 8 * 1024;

/// The tokens that were verified, each by what stands for it: nobody who reads this process's memory
/// finds the token itself here.
pub(super) struct Verified(Cache<[u8; 32], (Jwk, Claims)>);

impl Default for Verified {
    fn default() -> Self {
        Self(Cache::new(MAX_TOKENS))
    }
}

impl Verified {
    /// The claims of a token that this key has verified and that has not expired by more than
    /// `leeway`.
    pub(super) fn claims(&self, token: &str, key: &Jwk, leeway: Duration) -> Option<Claims> {
        let (by, claims) = self.0.get(&fingerprint(token))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let until = u64::try_from(claims.exp).ok()?;
        (by == *key && now.as_secs() <= until.saturating_add(leeway.as_secs())).then_some(claims)
    }

    /// Keeps a token that was just verified.
    pub(super) fn keep(&self, token: &str, key: Jwk, claims: Claims) {
        self.0.insert(fingerprint(token), (key, claims));
    }
}

fn fingerprint(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    const LEEWAY: Duration = Duration::from_secs(30);

    fn key(x: &str) -> Jwk {
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "one", "x": x });
        serde_json::from_value(key).expect("a key")
    }

    fn claims(expires_in: i64) -> Claims {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = i64::try_from(now.expect("after 1970").as_secs()).expect("before 2500");
        Claims {
            iss: Claims::ISSUER.to_owned(),
            aud: Claims::AUDIENCE.to_owned(),
            sub: Uuid::nil(),
            name: String::new(),
            roles: Vec::new(),
            iat: now,
            exp: now + expires_in,
            jti: Uuid::nil(),
        }
    }

    #[test]
    fn a_kept_token_counts_while_its_key_does_and_its_time_lasts() {
        let (verified, first, second) = (Verified::default(), key("AAAA"), key("BBBB"));
        let good = claims(600);
        verified.keep("good", first.clone(), good.clone());
        assert_eq!(verified.claims("good", &first, LEEWAY), Some(good));
        assert_eq!(verified.claims("good", &second, LEEWAY), None);
        assert_eq!(verified.claims("other", &first, LEEWAY), None);
        verified.keep("late", first.clone(), claims(-25));
        assert!(verified.claims("late", &first, LEEWAY).is_some());
        verified.keep("over", first.clone(), claims(-35));
        assert_eq!(verified.claims("over", &first, LEEWAY), None);
    }
}
