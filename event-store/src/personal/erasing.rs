//! A person's key is erased, and everybody is told; master keys are changed.
//!
//! A crash after the erasure and before its event leaves a row that says so: the log's process looks
//! for such rows ([`announce`]), and a repeat of the erasure goes on from there, too. The event's id
//! and content are the row's, so whoever repeats appends nothing new.

use std::{sync::Arc, time::Duration};

use chassis::Shutdown;
use contracts::{Event, Payload, events::PersonalErased};
use database::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::{Keys, PersonalError, store};
use crate::{Append, AppendError, Log};

/// What the ids of erasures are made of, with the person's.
const NAMESPACE: Uuid = Uuid::from_u128(0x3f0b_8a52_77a1_4b0e_9d2c_5e61_c0d4_a917);

/// Who appends the event: the log's own stream, which no service writes.
const SENDER: &str = "log";

/// How often the log's process looks for erasures that the log was not told of.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Rows that are taken up at once.
const AT_ONCE: u32 = 500;

/// What is known of a person's key; nothing of what it sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Whom.
    pub subject: String,
    /// Whether there is a key: personal fields of theirs can be read.
    pub has_key: bool,
    /// Since when something is noted.
    pub known_since: Option<Timestamp>,
    /// When the key was erased.
    pub erased_at: Option<Timestamp>,
    /// Who erased it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Whether the log tells of it.
    pub announced: bool,
}

/// What an erasure came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    /// Whom.
    pub subject: String,
    /// Whether a key was erased now; else there was none, or it was erased before.
    pub had_key: bool,
    /// When it was erased first.
    pub erased_at: Timestamp,
    /// Who was the first.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Where the log tells of it.
    pub position: i64,
}

impl Log {
    /// Erases a person's key: what it sealed can be read by nobody any more, in whatever copy. It may be
    /// repeated, and what was noted first stays. Also for a person of whom nothing is known, whose
    /// fields are then erased before they are written.
    ///
    /// # Errors
    /// [`AppendError`]: after one the key may be gone without the log telling so, which the log's
    /// process or a repeat makes good.
    pub async fn erase_personal(
        &self,
        subject: &str,
        actor: &str,
        reason: &str,
    ) -> Result<Erasure, AppendError> {
        let keys = self.personal();
        let before = keys.status(subject).await.map_err(unavailable)?;
        let erased = keys.erase(subject, actor, reason).await;
        erased.map_err(unavailable)?;
        let mut erasure = self.announce(subject).await?;
        erasure.had_key = before.has_key;
        tracing::warn!(
            subject,
            actor,
            reason,
            had_key = before.has_key,
            "personal data erased"
        );
        Ok(erasure)
    }

    /// Lets the log tell of an erasure.
    async fn announce(&self, subject: &str) -> Result<Erasure, AppendError> {
        let keys = self.personal();
        let database = &keys.inner.database;
        let noted = keys.within(store::noted(database, subject)).await;
        let noted = noted.map_err(unavailable)?;
        let Some(store::Tombstone { at, by, reason, .. }) = noted.and_then(|noted| noted.erasure)
        else {
            return Err(unavailable(database::Error::NotFound));
        };
        let payload = PersonalErased {
            subject: subject.to_owned(),
            actor: by.clone(),
            reason: reason.clone(),
        };
        let appended = self
            .append(vec![Append::any(event(&payload, at).map_err(unavailable)?)])
            .await?;
        let position = appended.first().map_or(0, |appended| appended.position);
        let marked = keys.within(store::announced(database, subject)).await;
        marked.map_err(unavailable)?;
        Ok(Erasure {
            subject: subject.to_owned(),
            had_key: false,
            erased_at: at,
            actor: by,
            reason,
            position,
        })
    }

    /// Lets the log tell of all erasures that it was not told of; how many there were.
    ///
    /// # Errors
    /// As [`Log::erase_personal`].
    pub async fn announce_erasures(&self) -> Result<u32, AppendError> {
        let mut count = 0;
        loop {
            let keys = self.personal();
            let left = store::unannounced(&keys.inner.database, AT_ONCE);
            let left = keys.within(left).await.map_err(unavailable)?;
            if left.is_empty() {
                return Ok(count);
            }
            for subject in left {
                self.announce(&subject).await?;
                count += 1;
            }
        }
    }
}

impl Keys {
    /// What is known of a person's key.
    ///
    /// # Errors
    /// As the database says.
    pub async fn status(&self, subject: &str) -> Result<Status, database::Error> {
        let noted = self
            .within(store::noted(&self.inner.database, subject))
            .await?;
        let erasure = noted.as_ref().and_then(|noted| noted.erasure.as_ref());
        Ok(Status {
            subject: subject.to_owned(),
            has_key: noted.as_ref().is_some_and(|noted| noted.has_key),
            known_since: noted.as_ref().map(|noted| noted.created_at),
            erased_at: erasure.map(|erasure| erasure.at),
            actor: erasure.map(|erasure| erasure.by.clone()),
            reason: erasure.map(|erasure| erasure.reason.clone()),
            announced: erasure.is_some_and(|erasure| erasure.announced),
        })
    }

    /// Erases the key, and says nothing to the log.
    pub(super) async fn erase(
        &self,
        subject: &str,
        actor: &str,
        reason: &str,
    ) -> Result<(), database::Error> {
        let erased = store::erase(&self.inner.database, subject, actor, reason);
        let erased = self.within(erased).await;
        // Also where it is not known to have happened: it may have.
        self.inner.cache.forget(subject);
        Ok(erased?)
    }

    /// Seals every key under the current master key, so that the others can go; how many were sealed
    /// anew.
    ///
    /// # Errors
    /// [`PersonalError`]; what was sealed anew stays so.
    pub async fn rotate(&self) -> Result<u64, PersonalError> {
        let masters = self.inner.masters.as_ref().ok_or(PersonalError::NoKeys)?;
        let database = &self.inner.database;
        let (mut after, mut count) = (String::new(), 0);
        loop {
            let page = store::under_others(database, masters.current(), &after, AT_ONCE);
            let page = self.within(page).await?;
            let Some((last, _, _)) = page.last() else {
                return Ok(count);
            };
            after.clone_from(last);
            for (subject, id, was) in page {
                let bytes = masters.unwrap(&subject, id, &was)?;
                let sealed = masters.wrap(&subject, id, &bytes)?;
                let replaced = store::replace(database, &subject, &was, &sealed);
                count += self.within(replaced).await?;
            }
        }
    }
}

/// Looks for erasures that the log was not told of, until the shutdown.
pub(crate) async fn announce(log: Log, shutdown: Shutdown) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = looks.tick() => {}
        }
        match log.announce_erasures().await {
            Ok(0) => {}
            Ok(count) => {
                tracing::warn!(count, "erasures that the log was not told of are told now");
            }
            Err(error) => tracing::warn!(%error, "erasures are not looked for; will try again"),
        }
    }
}

fn unavailable(error: impl Into<database::Error>) -> AppendError {
    AppendError::Unavailable(Arc::new(error.into()))
}

fn event(payload: &PersonalErased, at: Timestamp) -> Result<Event, database::Error> {
    let id = Uuid::new_v5(&NAMESPACE, payload.subject.as_bytes());
    Ok(Event {
        id,
        event_type: PersonalErased::TYPE.to_owned(),
        stream: format!("personal-{}", payload.subject),
        aggregate_id: payload.subject.clone(),
        version: 1,
        schema_version: PersonalErased::SCHEMA_VERSION,
        payload: serde_json::to_value(payload).map_err(database::Error::query)?,
        timestamp: at.into(),
        correlation_id: id,
        causation_id: None,
        saga_id: None,
        step: None,
        service_id: SENDER.to_owned(),
        traceparent: None,
    })
}
