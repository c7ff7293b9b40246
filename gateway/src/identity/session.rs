//! Sessions that are no token: whoever keeps them is asked, and what it says is kept for a while.
//!
//! Invariant: a request is somebody's only because the session server said so of exactly the headers
//! that it sent, at most `ttl` ago. A server that fails, hangs or makes no sense lets nobody in.
//! For one session one question is under way at a time, over all at most `max_asks`, of which one
//! client has a share ([`places`]); at most `max_sessions` answers are kept, and as many that there is
//! none, apart, so that whoever makes sessions up forgets nobody's. They are kept under a digest of what
//! was asked, so that no session can be read out of this process's memory.

mod answer;
mod counts;
mod places;
mod question;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::{HeaderMap, HeaderName, Uri};
use quick_cache::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::transport::Transport;
use super::{Identity, Standing, TokenError};
use crate::config;
use answer::{Answer, Said};
pub use counts::{SessionCounts, SessionSnapshot};
use places::Places;
use question::{Digest, Question};

/// Asks about sessions and remembers the answers.
#[derive(Debug)]
pub(super) struct Sessions {
    settings: config::Forward,
    ca: Option<String>,
    url: Uri,
    transport: Transport,
    background: Handle,
    known: Cache<Digest, Arc<Known>>,
    /// Until when it is known that there is no such session.
    nobodies: Cache<Digest, Instant>,
    places: Arc<Places>,
    asks: Mutex<HashMap<Digest, watch::Receiver<Option<Said>>>>,
    counts: Arc<SessionCounts>,
}

/// What was said of a session. It stays beyond its time, until others need the room: when nobody
/// can be asked, routing goes by it and access does not.
#[derive(Debug)]
struct Known {
    identity: Identity,
    fresh_until: Instant,
}

/// No honest answer about a session is longer.
const MAX_ANSWER: usize = 64 * 1024;

impl Sessions {
    pub(super) fn new(
        settings: &config::Forward,
        ca: Option<&str>,
        background: Handle,
        counts: Arc<SessionCounts>,
    ) -> Arc<Self> {
        // A URL was checked when it was configured; what is none cannot be asked.
        let url = settings.url.parse::<Uri>().unwrap_or_default();
        Arc::new(Self {
            transport: Transport::new(&url, ca),
            url,
            known: Cache::new(settings.max_sessions as usize),
            nobodies: Cache::new(settings.max_sessions as usize),
            places: Places::new(settings.max_asks),
            settings: settings.clone(),
            ca: ca.map(str::to_owned),
            background,
            asks: Mutex::default(),
            counts,
        })
    }

    /// True when these settings would make the same.
    pub(super) fn is_for(&self, settings: &config::Forward, ca: Option<&str>) -> bool {
        self.settings == *settings && self.ca.as_deref() == ca
    }

    /// True when the server gets to see this header.
    pub(super) fn asks_with(&self, name: &HeaderName) -> bool {
        self.settings.headers.contains(name)
    }

    /// Whose session the request of `client` brings.
    ///
    /// # Errors
    /// [`TokenError::Absent`] when it brings none, or none that counts;
    /// [`TokenError::SessionsUnavailable`] when that cannot be known.
    pub(super) async fn identify(
        self: &Arc<Self>,
        headers: &HeaderMap,
        client: IpAddr,
    ) -> Result<Identity, TokenError> {
        let question = Question::of(&self.settings, headers).ok_or(TokenError::Absent)?;
        let digest = question.digest();
        let known = self.known.get(&digest);
        let said = match self.fresh(&digest, known.as_deref()) {
            Some(said) => {
                self.counts.hit();
                said
            }
            None => self.ask(digest, question, client).await,
        };
        match said {
            Said::Session(identity) => Ok(identity),
            Said::Nobody => Err(TokenError::Absent),
            Said::Nothing => known
                .map(|known| Identity {
                    standing: Standing::Unconfirmed,
                    ..known.identity.clone()
                })
                .ok_or(TokenError::SessionsUnavailable),
        }
    }

    /// What was said of it, if that is not too long ago.
    fn fresh(&self, digest: &Digest, known: Option<&Known>) -> Option<Said> {
        let now = Instant::now();
        match known.filter(|known| now < known.fresh_until) {
            Some(known) => Some(Said::Session(known.identity.clone())),
            None => self
                .nobodies
                .get(digest)
                .filter(|until| now < *until)
                .map(|_| Said::Nobody),
        }
    }

    /// Asks, or waits for what somebody else's same question is answered.
    async fn ask(self: &Arc<Self>, digest: Digest, question: Question, client: IpAddr) -> Said {
        let mut answered = {
            let mut asks = self.asks();
            if let Some(asked) = asks.get(&digest) {
                asked.clone()
            } else if let Some(said) = self.fresh(&digest, self.known.peek(&digest).as_deref()) {
                // The answer came between the look and the lock.
                return said;
            } else {
                let Some(in_line) = self.places.line_up(client) else {
                    self.counts.refused();
                    return Said::Nothing;
                };
                let (answers, answered) = watch::channel(None);
                asks.insert(digest, answered.clone());
                let asked = Asked {
                    sessions: Arc::clone(self),
                    digest,
                };
                // It belongs to the background: whoever waits here may go away.
                self.background.spawn(async move {
                    let sessions = &asked.sessions;
                    let said = match in_line.place().await {
                        Some(_place) => sessions.put(digest, question).await,
                        None => {
                            sessions.counts.refused();
                            Said::Nothing
                        }
                    };
                    answers.send_replace(Some(said));
                });
                answered
            }
        };
        let said = answered.wait_for(Option::is_some).await;
        said.ok()
            .and_then(|said| said.clone())
            .unwrap_or(Said::Nothing)
    }

    /// Puts the question to the server and keeps what it says, if that may be kept.
    async fn put(&self, digest: Digest, question: Question) -> Said {
        let asked_at = Instant::now();
        let timeout = self.settings.timeout;
        let asking = self
            .transport
            .get(&self.url, question.into_headers(), timeout, MAX_ANSWER);
        let answer = match asking.await {
            Ok(response) => Answer::read(&self.settings, &response),
            Err(error) => {
                tracing::warn!(%error, url = self.settings.url, "no session can be asked about");
                Answer::nothing()
            }
        };
        self.counts.asked(&answer.said);
        // From when it was asked: a session that ends meanwhile is not known any longer than `ttl` after
        // its end.
        let fresh_until = answer.keep_for.map(|keep_for| asked_at + keep_for);
        match (&answer.said, fresh_until) {
            // What is known from before is kept for routing.
            (Said::Nothing, _) => {}
            (Said::Session(identity), Some(fresh_until)) => {
                let identity = identity.clone();
                let known = Known {
                    identity,
                    fresh_until,
                };
                self.known.insert(digest, Arc::new(known));
                self.nobodies.remove(&digest);
            }
            (Said::Session(_), None) => {
                self.known.remove(&digest);
                self.nobodies.remove(&digest);
            }
            (Said::Nobody, fresh_until) => {
                self.known.remove(&digest);
                match fresh_until {
                    Some(until) => self.nobodies.insert(digest, until),
                    None => {
                        self.nobodies.remove(&digest);
                    }
                }
            }
        }
        answer.said
    }

    fn asks(&self) -> MutexGuard<'_, HashMap<Digest, watch::Receiver<Option<Said>>>> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question under way; when it is dropped, however it ended, the next one may be asked.
struct Asked {
    sessions: Arc<Sessions>,
    digest: Digest,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.sessions.asks().remove(&self.digest);
    }
}
