//! The envelope every event travels in.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Payload, events::upcast};

/// One event, as its owner wrote it. JSON in camelCase; never changed once stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// UUIDv7 for new facts; UUIDv5 for events derived from a cause, so that a repeated handler
    /// produces the same id and appends nothing new.
    pub id: Uuid,
    /// `answer.submitted`: the subject on the bus and the key to the payload's shape.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The aggregate's event stream; written by its owning service alone.
    pub stream: String,
    /// The aggregate's own id.
    pub aggregate_id: String,
    /// Contiguous from 1 within the stream.
    pub version: i64,
    /// The version of the payload's shape; older ones are upcast on reading.
    pub schema_version: i64,
    /// The facts, in the shape that `type` and `schemaVersion` name.
    pub payload: Value,
    /// When it happened, by the owner's database clock.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: OffsetDateTime,
    /// What the whole chain of causes goes back to: one click, one id.
    pub correlation_id: Uuid,
    /// The event that caused this one, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub causation_id: Option<Uuid>,
    /// The saga this belongs to, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub saga_id: Option<Uuid>,
    /// The saga's step that this asks for or answers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub step: Option<String>,
    /// The service that owns the stream.
    pub service_id: String,
    /// W3C trace context of the work that wrote it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub traceparent: Option<String>,
}

impl Event {
    /// Reads the payload as `P`, in its newest shape whatever version was stored.
    ///
    /// # Errors
    /// When the payload does not have `P`'s shape, the type is another one, or the version is newer
    /// than this program.
    pub fn payload<P: Payload>(&self) -> Result<P, serde_json::Error> {
        if self.event_type != P::TYPE {
            let text = format!(
                "event {} is a {}, not a {}",
                self.id,
                self.event_type,
                P::TYPE
            );
            return Err(serde::de::Error::custom(text));
        }
        let newest = upcast::newest::<P>(self.schema_version, &self.payload);
        P::deserialize(newest.map_err(serde::de::Error::custom)?.as_ref())
    }
}

/// An event with its place in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", from = "Flat")]
pub struct Recorded {
    /// The log's identity: positions of different epochs do not compare.
    pub epoch: Uuid,
    /// Contiguous from 1, in commit order.
    pub position: i64,
    /// When the log took it, by the log's own clock; events of older logs have none.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none",
        default
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub recorded_at: Option<OffsetDateTime>,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// [`Recorded`] as it is read. Every service reads every event, and what is read into a flattened field is
/// put aside piece by piece first.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Flat {
    epoch: Uuid,
    position: i64,
    #[serde(with = "time::serde::rfc3339::option", default)]
    recorded_at: Option<OffsetDateTime>,
    id: Uuid,
    #[serde(rename = "type")]
    event_type: String,
    stream: String,
    aggregate_id: String,
    version: i64,
    schema_version: i64,
    payload: Value,
    #[serde(with = "time::serde::rfc3339")]
    timestamp: OffsetDateTime,
    correlation_id: Uuid,
    #[serde(default)]
    causation_id: Option<Uuid>,
    #[serde(default)]
    saga_id: Option<Uuid>,
    #[serde(default)]
    step: Option<String>,
    service_id: String,
    #[serde(default)]
    traceparent: Option<String>,
}

impl From<Flat> for Recorded {
    fn from(flat: Flat) -> Self {
        Self {
            epoch: flat.epoch,
            position: flat.position,
            recorded_at: flat.recorded_at,
            event: Event {
                id: flat.id,
                event_type: flat.event_type,
                stream: flat.stream,
                aggregate_id: flat.aggregate_id,
                version: flat.version,
                schema_version: flat.schema_version,
                payload: flat.payload,
                timestamp: flat.timestamp,
                correlation_id: flat.correlation_id,
                causation_id: flat.causation_id,
                saga_id: flat.saga_id,
                step: flat.step,
                service_id: flat.service_id,
                traceparent: flat.traceparent,
            },
        }
    }
}
