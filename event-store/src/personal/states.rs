//! States that personal fields went into, as snapshots keep them.

use std::collections::BTreeSet;

use contracts::events::personal::{SEALED, Sealed};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Freshness, Held, Keys, PersonalError, key::place};

/// Where the sealed state stands beside what says for whom it is.
const STATE: &str = "state";

/// A state that was kept.
pub(crate) enum Kept {
    /// It can be read; whom it names.
    Open(Value, Option<String>),
    /// The key is gone, or this process has none.
    Closed,
}

impl Keys {
    /// The state as it may be kept, made of the stream's events up to `last`; none where it may not.
    pub(crate) async fn to_keep(
        &self,
        subjects: &BTreeSet<String>,
        (last, kind): (Uuid, &str),
        state: Value,
    ) -> Result<Option<Value>, PersonalError> {
        let Some(subject) = subjects.first() else {
            return Ok(Some(state));
        };
        let (Some(masters), 1) = (&self.inner.masters, subjects.len()) else {
            return Ok(None);
        };
        let asked = BTreeSet::from([subject.clone()]);
        let found = self.to_open(masters, asked, Freshness::Now).await?;
        let Some(Held::Key(key)) = found.get(subject) else {
            return Ok(None);
        };
        let marker = Sealed {
            subject: subject.clone(),
            key: key.id,
            fields: Vec::new(),
        };
        let sealed = key.seal(&place(last, subject, kind), state.to_string().as_bytes());
        Ok(Some(json!({ SEALED: marker, STATE: sealed })))
    }

    /// A state that was kept by [`Keys::to_keep`].
    pub(crate) async fn kept(
        &self,
        (last, kind): (Uuid, &str),
        stored: Value,
    ) -> Result<Kept, PersonalError> {
        let tampered = || PersonalError::Tampered {
            event: last,
            field: kind.to_owned(),
        };
        let Some(marker) = Sealed::of(&stored).map_err(|_| tampered())? else {
            return Ok(Kept::Open(stored, None));
        };
        let Some(masters) = &self.inner.masters else {
            return Ok(Kept::Closed);
        };
        let asked = BTreeSet::from([marker.subject.clone()]);
        let found = self.to_open(masters, asked, Freshness::Now).await?;
        let key = match found.get(&marker.subject) {
            Some(Held::Key(key)) if key.id == marker.key => key,
            _ => return Ok(Kept::Closed),
        };
        let text = stored
            .get(STATE)
            .and_then(Value::as_str)
            .ok_or_else(tampered)?;
        let plain = key.open(&place(last, &marker.subject, kind), text);
        let state = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
        let state = state.ok_or_else(tampered)?;
        Ok(Kept::Open(state, Some(marker.subject)))
    }
}
