//! Personal data in events that can be erased: a key for each person, under which the fields that name
//! them are sealed before an event enters its outbox, and opened when a handler reads it.
//!
//! Invariants: outbox, log, bus, dead letters, archive and snapshots hold such a field sealed and
//! never otherwise; once a key is erased nobody opens what it sealed, whatever copies there are; what
//! does not open is an error and never taken for a value. An event without personal fields costs
//! nothing of this.
//!
//! The keys lie in the log's database, sealed under a master key that the settings name, and every
//! process that has the log reaches them. It keeps those in use for [`FRESH_FOR`] at most and forgets
//! one at once when it reads `personal.erased`, which goes through the log as any event does.
//!
//! A field is sealed the same way each time: the nonce is made of what it seals, where, and a key. So a
//! handler that runs again writes the same event again, which the log recognises by its payload; two
//! equal values in two events look different still, since the event's id is sealed with them.

mod cache;
mod erasing;
mod error;
mod key;
mod master;
mod opening;
mod sealing;
mod states;
mod store;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use contracts::{Payload, Recorded, events::PersonalErased};
use database::Database;
use uuid::Uuid;

use self::{cache::Cache, key::SubjectKey};

pub use cache::FRESH_FOR;
pub(crate) use cache::Held;
pub(crate) use erasing::announce;
pub use erasing::{Erasure, Status};
pub use error::PersonalError;
pub use master::{MasterFault, MasterKeys};
pub(crate) use sealing::{seal, subject_of};
pub(crate) use states::Kept;

/// The keys of a log. Clones share them.
#[derive(Clone)]
pub struct Keys {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    masters: Option<MasterKeys>,
    timeout: Duration,
    cache: Cache,
}

/// Shows neither keys nor whose they are.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    pub(crate) fn new(database: Database, masters: Option<MasterKeys>, timeout: Duration) -> Self {
        Self {
            inner: Arc::new(Inner {
                database,
                masters,
                timeout,
                cache: Cache::default(),
            }),
        }
    }

    /// Whether this process was given a master key.
    pub(crate) fn can_seal(&self) -> bool {
        self.inner.masters.is_some()
    }

    /// The keys to seal with, made where there are none.
    pub(crate) async fn to_seal(
        &self,
        subjects: BTreeSet<String>,
    ) -> Result<HashMap<String, Held>, PersonalError> {
        let masters = self.inner.masters.as_ref().ok_or(PersonalError::NoKeys)?;
        let mut found = HashMap::with_capacity(subjects.len());
        for subject in subjects {
            let held = match self.inner.cache.get(&subject) {
                Some(held) => held,
                None => self.make(masters, &subject).await?,
            };
            found.insert(subject, held);
        }
        Ok(found)
    }

    async fn make(&self, masters: &MasterKeys, subject: &str) -> Result<Held, PersonalError> {
        let begun = self.inner.cache.generation();
        let (id, bytes) = (Uuid::now_v7(), key::random()?);
        let fresh = masters.wrap(subject, id, &bytes)?;
        let stored = self.within(store::get_or_make(
            &self.inner.database,
            subject,
            id,
            &fresh,
        ));
        let held = held(masters, subject, stored.await?)?;
        self.inner.cache.put(begun, subject, held.clone());
        Ok(held)
    }

    /// The keys to open with, as the database has them now or lately. One that is missing was lost with
    /// the log that it belonged to.
    async fn to_open(
        &self,
        masters: &MasterKeys,
        subjects: BTreeSet<String>,
        freshness: Freshness,
    ) -> Result<HashMap<String, Held>, PersonalError> {
        let cache = &self.inner.cache;
        let begun = cache.generation();
        let mut found = HashMap::with_capacity(subjects.len());
        let mut missing = Vec::new();
        for subject in subjects {
            match cache.get(&subject) {
                Some(held) if freshness == Freshness::Lately => {
                    found.insert(subject, held);
                }
                _ => missing.push(subject),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let stored = self.within(store::read(&self.inner.database, missing));
        for (subject, stored) in stored.await? {
            let held = held(masters, &subject, stored)?;
            cache.put(begun, &subject, held.clone());
            found.insert(subject, held);
        }
        Ok(found)
    }

    /// Forgets what it has cached of a person, as `personal.erased` asks for.
    pub(crate) fn heard<'a>(&self, events: impl IntoIterator<Item = &'a Recorded>) {
        for recorded in events {
            if recorded.event.event_type == PersonalErased::TYPE
                && let Ok(PersonalErased { subject, .. }) = recorded.event.payload()
            {
                self.inner.cache.forget(&subject);
            }
        }
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, database::Error>>,
    ) -> Result<T, PersonalError> {
        Ok(crate::log::within(self.inner.timeout, work).await?)
    }
}

/// How new a key must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Asked for now.
    Now,
    /// Kept for [`FRESH_FOR`] at most.
    Lately,
}

fn held(masters: &MasterKeys, subject: &str, stored: store::Stored) -> Result<Held, PersonalError> {
    let store::Stored::Key { id, sealed } = stored else {
        return Ok(Held::Erased);
    };
    let bytes = masters.unwrap(subject, id, &sealed)?;
    Ok(Held::Key(Arc::new(SubjectKey::new(id, &bytes))))
}
