//! The public keys of an issuer elsewhere, fetched from its JWKS endpoint.
//!
//! Invariants: an issuer that is down takes no key away from those that know it; one that answers
//! decides within [`STALE`] which keys are good; nobody waits for an issuer that did not answer
//! just now.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use tokio::sync::Mutex;

use crate::Problem;

/// An issuer is asked again at most this often, so that forged key ids cost nothing.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// The issuer answers within this or counts as down.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of a key set at most; some keys have a few hundred each.
const MAX_SET: usize = 256 * 1024;

/// Keys older than this are fetched again behind the request that uses them.
const FRESH: Duration = Duration::from_secs(60);
/// Keys older than this are not believed before the issuer was asked: a key that was taken out
/// because somebody stole it must not be good for whoever has not used a verifier for long.
const STALE: Duration = Duration::from_secs(300);

/// An issuer and what is known of its keys.
pub(super) struct Issuer {
    url: String,
    client: reqwest::Client,
    known: RwLock<Known>,
    /// When the issuer was asked last, and whether it answered; held while asking, so that one
    /// request asks for all.
    asked: Mutex<Option<(Instant, Answered)>>,
    ages: Ages,
}

/// When keys count as old.
#[derive(Clone, Copy, Debug)]
struct Ages {
    fresh: Duration,
    stale: Duration,
}

#[derive(Clone)]
struct Known {
    keys: Arc<JwkSet>,
    /// None before the first answer.
    since: Option<Instant>,
    /// How the issuer took the last question.
    last: Answered,
}

/// How an issuer took a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    Yes,
    No,
}

impl Issuer {
    pub(super) fn new(url: String) -> Self {
        let ages = Ages {
            fresh: FRESH,
            stale: STALE,
        };
        Self::with_ages(url, ages)
    }

    fn with_ages(url: String, ages: Ages) -> Self {
        let known = Known {
            keys: Arc::new(JwkSet { keys: Vec::new() }),
            since: None,
            last: Answered::Yes,
        };
        Self {
            url,
            client: reqwest::Client::new(),
            known: RwLock::new(known),
            asked: Mutex::new(None),
            ages,
        }
    }

    /// The key with that id, if the issuer has it.
    ///
    /// # Errors
    /// 503 when it is not known and the issuer does not answer.
    pub(super) async fn key(self: &Arc<Self>, id: &str) -> Result<Option<Jwk>, Problem> {
        let known = self.known();
        let Some(key) = known.keys.find(id) else {
            self.ask().await?;
            return Ok(self.known().keys.find(id).cloned());
        };
        let age = known
            .since
            .map_or(Duration::MAX, |instant| instant.elapsed());
        if age < self.ages.fresh {
            return Ok(Some(key.clone()));
        }
        if age < self.ages.stale || known.last == Answered::No {
            self.ask_in_background();
            return Ok(Some(key.clone()));
        }
        if let Err(problem) = self.ask().await {
            tracing::warn!(?problem, "the keys known so far stay good");
        }
        Ok(self.known().keys.find(id).cloned())
    }

    /// Asks, unless somebody just did.
    async fn ask(&self) -> Result<(), Problem> {
        let mut asked = self.asked.lock().await;
        match *asked {
            Some((at, Answered::Yes)) if at.elapsed() < ASK_EVERY => return Ok(()),
            Some((at, Answered::No)) if at.elapsed() < ASK_EVERY => {
                return Err(Problem::dependency(
                    "token issuer",
                    &"it did not answer just now",
                ));
            }
            _ => {}
        }
        let (answered, result) = match self.fetch().await {
            Ok(keys) => {
                self.learn(keys);
                (Answered::Yes, Ok(()))
            }
            Err(cause) => {
                self.note_silence();
                (
                    Answered::No,
                    Err(Problem::dependency("token issuer", &cause)),
                )
            }
        };
        *asked = Some((Instant::now(), answered));
        result
    }

    fn ask_in_background(self: &Arc<Self>) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            // Somebody is asking already, or the refusal is in the log: there is nothing to tell.
            if this.asked.try_lock().is_ok() {
                let _ = this.ask().await;
            }
        });
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let fetch = async {
            let request = self.client.get(&self.url).send();
            let mut response = request.await?.error_for_status()?;
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                if body.len() + chunk.len() > MAX_SET {
                    return Ok(None);
                }
                body.extend_from_slice(&chunk);
            }
            Ok::<_, reqwest::Error>(Some(body))
        };
        let body = match tokio::time::timeout(FETCH_TIMEOUT, fetch).await {
            Ok(Ok(Some(body))) => body,
            Ok(Ok(None)) => return Err("its key set is too large".to_owned()),
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("no answer in time".to_owned()),
        };
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    }

    fn known(&self) -> Known {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    fn learn(&self, keys: JwkSet) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *known = Known {
            keys: Arc::new(keys),
            since: Some(Instant::now()),
            last: Answered::Yes,
        };
    }

    fn note_silence(&self) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.last = Answered::No;
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use axum::{Json, Router, routing::get};
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn set(ids: &[&str]) -> Value {
        let key = |id: &&str| json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": "AA" });
        json!({ "keys": ids.iter().map(key).collect::<Vec<_>>() })
    }

    /// An endpoint whose answer can be changed; `null` fails.
    async fn endpoint() -> (String, Arc<RwLock<Value>>) {
        let answer = Arc::new(RwLock::new(set(&["one"])));
        let shown = Arc::clone(&answer);
        let handler = async move || {
            let answer = shown.read().unwrap().clone();
            if answer.is_null() {
                return Err(http::StatusCode::INTERNAL_SERVER_ERROR);
            }
            Ok(Json(answer))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let router = Router::new().route("/jwks", get(handler));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (url, answer)
    }

    fn issuer(url: String, fresh: Duration, stale: Duration) -> Arc<Issuer> {
        Arc::new(Issuer::with_ages(url, Ages { fresh, stale }))
    }

    #[tokio::test]
    async fn a_key_that_was_taken_out_is_forgotten_by_whoever_uses_it() {
        let (url, answer) = endpoint().await;
        let issuer = issuer(url, Duration::ZERO, STALE);
        assert!(issuer.key("one").await.unwrap().is_some());
        *answer.write().unwrap() = set(&["two"]);
        testkit::eventually(SOON, || async {
            match issuer.key("one").await {
                Ok(None) => ControlFlow::Break(()),
                other => ControlFlow::Continue(format!("{other:?}")),
            }
        })
        .await;
    }

    #[tokio::test]
    async fn stale_keys_are_not_believed_before_the_issuer_was_asked() {
        let (url, answer) = endpoint().await;
        let issuer = issuer(url, Duration::ZERO, ASK_EVERY);
        assert!(issuer.key("one").await.unwrap().is_some());
        *answer.write().unwrap() = set(&["two"]);
        // Age itself is what is waited for.
        tokio::time::sleep(ASK_EVERY).await;
        assert!(issuer.key("one").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_issuer_that_is_down_takes_no_key_away() {
        let (url, answer) = endpoint().await;
        let issuer = issuer(url, Duration::ZERO, Duration::ZERO);
        assert!(issuer.key("one").await.unwrap().is_some());
        *answer.write().unwrap() = Value::Null;
        // The pause between two questions is what is waited for.
        tokio::time::sleep(ASK_EVERY).await;
        for _ in 0..3 {
            assert!(issuer.key("one").await.unwrap().is_some());
        }
        let refused = issuer.key("two").await.unwrap_err();
        assert_eq!(refused.status().as_u16(), 503);
    }
}
