//! What may be appended, and what an append can answer.

use std::sync::Arc;

use contracts::Event;
use serde_json::Value;
use thiserror::Error;
use uuid::Uuid;

/// Events in one batch at most: one statement's worth, and some milliseconds under the lock.
pub const MAX_BATCH: usize = 1_000;

/// An event's payload in JSON at most; NATS refuses messages above 1 MiB by default, headers and
/// envelope included.
pub const MAX_EVENT_BYTES: usize = 512 * 1024;

/// What must be true of the stream for the event to be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The stream's newest version is the event's own version minus one.
    Exact,
    /// Anything: the log gives the event the stream's next version, whatever its own says.
    Any,
}

/// An event to append.
#[derive(Clone, Debug, PartialEq)]
pub struct Append {
    /// The event.
    pub event: Event,
    /// The optimistic-concurrency check.
    pub expected: Expected,
}

impl Append {
    /// Appends `event` as exactly the version that it says.
    pub fn exact(event: Event) -> Self {
        Self {
            event,
            expected: Expected::Exact,
        }
    }

    /// Appends `event` as whatever version is next.
    pub fn any(event: Event) -> Self {
        Self {
            event,
            expected: Expected::Any,
        }
    }
}

impl From<Event> for Append {
    fn from(event: Event) -> Self {
        Self::exact(event)
    }
}

/// Where an event lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its place in the log.
    pub position: i64,
    /// Its place in its stream.
    pub version: i64,
    /// Whether it was there before this append.
    pub duplicate: bool,
}

/// Why a batch was not appended.
#[derive(Clone, Debug, Error)]
pub enum AppendError {
    /// Somebody else has written that version: the caller decided on an older state.
    #[error("stream {stream} is at version {actual}; version {version} is taken")]
    Conflict {
        /// The stream.
        stream: String,
        /// The version that the event has.
        version: i64,
        /// The stream's newest version.
        actual: i64,
    },
    /// The version's predecessor is not there yet: it may come.
    #[error("stream {stream} is at version {actual}; version {version} must wait")]
    Ahead {
        /// The stream.
        stream: String,
        /// The version that the event has.
        version: i64,
        /// The stream's newest version.
        actual: i64,
    },
    /// Another event has this id.
    #[error("id {id} belongs to another event, at position {position}")]
    IdReused {
        /// The id.
        id: Uuid,
        /// Where the other event lies.
        position: i64,
    },
    /// The event itself cannot be stored; the text says why.
    #[error("event {id}: {reason}")]
    Invalid {
        /// The event.
        id: Uuid,
        /// What is wrong with it.
        reason: String,
    },
    /// The log's database failed. A repeat is safe.
    #[error(transparent)]
    Unavailable(Arc<database::Error>),
    /// This process is giving up the log.
    #[error("the log is closed")]
    Closed,
}

impl AppendError {
    /// Whether the same append may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Ahead { .. } | Self::Unavailable(_) | Self::Closed
        )
    }
}

/// Refuses what a database would refuse, before it can spoil a group of other callers' events.
pub(super) fn check(batch: &[Append]) -> Result<(), AppendError> {
    for Append { event, .. } in batch {
        let invalid = |reason: String| {
            Err(AppendError::Invalid {
                id: event.id,
                reason,
            })
        };
        if batch.len() > MAX_BATCH {
            return invalid(format!("its batch has more than {MAX_BATCH} events"));
        }
        if !event.payload.is_object() {
            return invalid("its payload is not a JSON object".to_owned());
        }
        let texts = [
            &event.event_type,
            &event.stream,
            &event.aggregate_id,
            &event.service_id,
        ];
        let optional = [&event.step, &event.traceparent];
        let nul = texts
            .into_iter()
            .chain(optional.into_iter().flatten())
            .any(|t| t.contains('\0'));
        if nul || has_nul(&event.payload) {
            return invalid("it contains a NUL character, which PostgreSQL cannot hold".to_owned());
        }
        if event.stream.is_empty() || event.event_type.is_empty() {
            return invalid("it names no stream or no type".to_owned());
        }
        let bytes = event.payload.to_string().len();
        if bytes > MAX_EVENT_BYTES {
            return invalid(format!(
                "its payload has {bytes} bytes of at most {MAX_EVENT_BYTES}"
            ));
        }
    }
    Ok(())
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(k, v)| k.contains('\0') || has_nul(v)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
