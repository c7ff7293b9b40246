//! Personal fields are opened for whoever reads an event.

use std::collections::{BTreeSet, HashMap};

use contracts::{
    Event, Recorded,
    events::personal::{self, SEALED, Sealed},
};
use serde_json::Value;

use super::{Freshness, Held, Keys, PersonalError, key::place};

/// Events with sealed fields, opened, by their positions; others are not in it.
pub(crate) struct Opened(HashMap<i64, Recorded>);

impl Opened {
    /// The event as a reader gets it.
    pub(crate) fn of<'a>(&'a self, stored: &'a Recorded) -> &'a Recorded {
        self.0.get(&stored.position).unwrap_or(stored)
    }
}

/// Whether something in the event is sealed.
fn is_sealed(event: &Event) -> bool {
    event.payload.get(SEALED).is_some()
}

impl Keys {
    /// Events as the log has them, with their personal fields opened or, where their keys are gone,
    /// erased. Where this process has no keys they stay sealed.
    ///
    /// # Errors
    /// [`PersonalError`]: what does not open is not passed over.
    pub async fn open(&self, events: Vec<Recorded>) -> Result<Vec<Recorded>, PersonalError> {
        Ok(self.open_naming(events).await?.0)
    }

    /// The same, and whom the fields that were opened name.
    pub(crate) async fn open_naming(
        &self,
        mut events: Vec<Recorded>,
    ) -> Result<(Vec<Recorded>, BTreeSet<String>), PersonalError> {
        let Some(found) = self.of(named(events.iter())?, Freshness::Now).await? else {
            return Ok((events, BTreeSet::new()));
        };
        for recorded in &mut events {
            open(&mut recorded.event, &found)?;
        }
        let known = found
            .into_iter()
            .filter(|(_, held)| matches!(held, Held::Key(_)));
        Ok((events, known.map(|(subject, _)| subject).collect()))
    }

    /// The same for handlers: only what is sealed is copied, and the keys may be from lately.
    pub(crate) async fn opened(&self, events: &[&Recorded]) -> Result<Opened, PersonalError> {
        let subjects = named(events.iter().copied())?;
        let Some(found) = self.of(subjects, Freshness::Lately).await? else {
            return Ok(Opened(HashMap::new()));
        };
        let mut opened = HashMap::new();
        for stored in events.iter().filter(|stored| is_sealed(&stored.event)) {
            let mut copy = (*stored).clone();
            open(&mut copy.event, &found)?;
            opened.insert(copy.position, copy);
        }
        Ok(Opened(opened))
    }

    /// The keys of these people; none where nothing is to be opened, or nothing can be.
    async fn of(
        &self,
        subjects: BTreeSet<String>,
        freshness: Freshness,
    ) -> Result<Option<HashMap<String, Held>>, PersonalError> {
        match &self.inner.masters {
            Some(masters) if !subjects.is_empty() => {
                self.to_open(masters, subjects, freshness).await.map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Everybody whom sealed fields name.
fn named<'a>(
    events: impl Iterator<Item = &'a Recorded>,
) -> Result<BTreeSet<String>, PersonalError> {
    let mut subjects = BTreeSet::new();
    for recorded in events {
        subjects.extend(marker(&recorded.event)?.map(|sealed| sealed.subject));
    }
    Ok(subjects)
}

fn marker(event: &Event) -> Result<Option<Sealed>, PersonalError> {
    Sealed::of(&event.payload).map_err(|_| tampered(event, SEALED))
}

fn open(event: &mut Event, keys: &HashMap<String, Held>) -> Result<(), PersonalError> {
    let Some(sealed) = marker(event)? else {
        return Ok(());
    };
    let key = match keys.get(&sealed.subject) {
        Some(Held::Key(key)) if key.id == sealed.key => Some(key),
        Some(Held::Erased) => None,
        // The log was put together again without the keys that it had.
        Some(Held::Key(_)) | None => {
            tracing::warn!(
                event = %event.id, subject = sealed.subject,
                "the key of its personal fields is lost; they are read as erased"
            );
            None
        }
    };
    for pointer in &sealed.fields {
        let field = event.payload.pointer(pointer);
        let Some(text) = field.and_then(personal::sealed_text) else {
            return Err(tampered(event, pointer));
        };
        let value = match key {
            None => personal::erased_field(),
            Some(key) => {
                let plain = key.open(&place(event.id, &sealed.subject, pointer), text);
                let value = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
                value.ok_or_else(|| tampered(event, pointer))?
            }
        };
        if let Some(field) = event.payload.pointer_mut(pointer) {
            *field = value;
        }
    }
    if let Value::Object(members) = &mut event.payload {
        members.remove(SEALED);
    }
    Ok(())
}

fn tampered(event: &Event, field: &str) -> PersonalError {
    PersonalError::Tampered {
        event: event.id,
        field: field.to_owned(),
    }
}
