//! A service's events that are not in the log yet, written in the transaction that changes the
//! service's state. A stream is written by its owning service alone.

mod deferred;
mod sent;
mod writing;

use std::collections::{HashMap, HashSet};

use chassis::trace::{Origin, TraceContext};
use contracts::{Event, Payload, Recorded, events::may_send};
use database::{Error, Json, Timestamp, Tx, params};
use serde_json::Value;
use uuid::{Builder, Uuid};

use self::deferred::Deferred;
pub(crate) use self::sent::{newest_sent, sent_between};
pub use crate::relay::{RelayOptions, run as run_relay};
use crate::{
    Log,
    personal::{self, Keys, PersonalError},
    trace,
};

/// The signal that a commit with a new outbox row raises; the relay waits for it.
pub const SIGNAL: &str = "outbox";

/// The tables that a service's own database needs for outbox, relay and consumers.
pub fn migrations() -> database::Migrations {
    database::Migrations::new(
        "outbox",
        sqlx::migrate!("../migrations/outbox/postgres"),
        sqlx::migrate!("../migrations/outbox/sqlite"),
    )
}

/// Where an event of the outbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// The relay knows its position.
    InTheLog,
    /// The relay may have sent it already.
    OnItsWay,
    /// The log refused it; an operator decides.
    Stuck,
}

/// Where a service writes its events.
#[derive(Clone, Debug)]
pub struct Outbox {
    service_id: &'static str,
    /// What personal fields are sealed with; without them none is written.
    keys: Option<Keys>,
}

/// An event that a service is about to write; the outbox adds version, time and service.
#[derive(Clone, Debug)]
pub struct NewEvent {
    event_type: String,
    schema_version: i64,
    payload: Result<Value, String>,
    /// Pointers of the fields that are sealed, and of whom they name.
    personal: &'static [&'static str],
    subject: &'static str,
    stream: Option<String>,
    aggregate_id: String,
    id: Option<Uuid>,
    correlation_id: Option<Uuid>,
    causation_id: Option<Uuid>,
    saga_id: Option<Uuid>,
    step: Option<String>,
    traceparent: Option<String>,
    /// Traces that it may belong to, should the work at hand be for another one.
    origins: Vec<TraceContext>,
}

impl NewEvent {
    /// An event with this payload. Without more it belongs to the stream `{type}` and the
    /// aggregate ``.
    pub fn of<P: Payload>(payload: &P) -> Self {
        Self {
            event_type: P::TYPE.to_owned(),
            schema_version: P::SCHEMA_VERSION,
            payload: serde_json::to_value(payload).map_err(|error| error.to_string()),
            personal: P::PERSONAL,
            subject: P::SUBJECT,
            stream: None,
            aggregate_id: String::new(),
            id: None,
            correlation_id: None,
            causation_id: None,
            saga_id: None,
            step: None,
            traceparent: None,
            origins: Vec::new(),
        }
    }

    /// The stream whose next version this becomes, such as `answers-{user}`.
    #[must_use]
    pub fn stream(mut self, stream: impl Into<String>) -> Self {
        self.stream = Some(stream.into());
        self
    }

    /// The aggregate's own id.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers hand over ids and texts alike"
    )]
    pub fn aggregate(mut self, id: impl ToString) -> Self {
        self.aggregate_id = id.to_string();
        self
    }

    /// What the whole chain of causes goes back to. Without one it is the current request's or
    /// event's; with no such work at hand the event begins a chain.
    #[must_use]
    pub fn correlation(mut self, id: Uuid) -> Self {
        self.correlation_id = Some(id);
        self
    }

    /// Takes cause, correlation and trace from the event that led to this one.
    #[must_use]
    pub fn caused_by(mut self, cause: &Recorded) -> Self {
        self.causation_id = Some(cause.event.id);
        self.correlation_id = Some(cause.event.correlation_id);
        self.origins.extend(trace::written_by(&cause.event));
        self
    }

    /// The saga that this belongs to, and the step that it asks for or answers.
    #[must_use]
    pub fn saga(mut self, saga_id: Uuid, step: impl Into<String>) -> Self {
        self.saga_id = Some(saga_id);
        self.step = Some(step.into());
        self
    }

    /// The id; [`derived_id`] for what a handler emits, a new UUIDv7 unless told.
    #[must_use]
    pub fn id(mut self, id: Uuid) -> Self {
        self.id = Some(id);
        self
    }

    /// The trace context of the work that writes it; the current one unless told.
    #[must_use]
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.traceparent = Some(traceparent.into());
        self
    }

    /// The trace context that it continues when the current one belongs to another chain.
    #[must_use]
    pub fn begun_by(mut self, traceparent: &str) -> Self {
        self.origins.extend(TraceContext::parse(traceparent));
        self
    }

    /// The stream that it becomes part of.
    fn stream_name(&self) -> &str {
        self.stream.as_deref().unwrap_or(&self.event_type)
    }

    /// Whom its personal fields name; none where it cannot be written at all.
    fn subject(&self) -> Result<Option<&str>, PersonalError> {
        let payload = self.payload.as_ref().ok();
        payload
            .map(|payload| personal::subject_of(payload, self.subject, &self.event_type))
            .transpose()
    }

    fn seal(
        &mut self,
        subject: &str,
        keys: &HashMap<String, personal::Held>,
    ) -> Result<(), PersonalError> {
        let id = *self.id.get_or_insert_with(Uuid::now_v7);
        match &mut self.payload {
            Ok(payload) => personal::seal(id, payload, self.personal, subject, keys),
            Err(_) => Ok(()),
        }
    }

    /// The event type on the wire.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }
}

impl Outbox {
    /// The outbox of the service with this id, in whichever database a transaction belongs to.
    pub const fn new(service_id: &'static str) -> Self {
        Self {
            service_id,
            keys: None,
        }
    }

    /// Seals personal fields with the keys of this log.
    #[must_use]
    pub fn sealing(self, log: &Log) -> Self {
        Self {
            keys: Some(log.personal().clone()),
            ..self
        }
    }

    /// The service that owns the streams.
    pub const fn service_id(&self) -> &'static str {
        self.service_id
    }

    /// A stream's events that the log has after `position` or, as far as is known here, not yet; in
    /// their order. One that is on its way may turn out to lie before `position`.
    ///
    /// # Errors
    /// As the database says.
    pub async fn after(
        &self,
        tx: &mut Tx,
        stream: &str,
        position: i64,
    ) -> Result<Vec<(Event, Whereabouts)>, Error> {
        // Each half finds its rows by an index of its own.
        let rows: Vec<(Json<Event>, i64, bool, bool)> = tx
            .fetch_all(
                "SELECT event, version, TRUE, FALSE FROM outbox
                 WHERE sent_position IS NOT NULL AND sent_position > $2 AND stream = $1
                 UNION ALL
                 SELECT event, version, FALSE, error IS NOT NULL FROM outbox
                 WHERE sent_position IS NULL AND stream = $1
                 ORDER BY version",
                params![stream, position],
            )
            .await?;
        let known = |(Json(event), _, is_sent, is_stuck)| {
            let whereabouts = match (is_sent, is_stuck) {
                (true, _) => Whereabouts::InTheLog,
                (false, true) => Whereabouts::Stuck,
                (false, false) => Whereabouts::OnItsWay,
            };
            (event, whereabouts)
        };
        Ok(rows.into_iter().map(known).collect())
    }

    /// Writes the event as its stream's next version; see [`Outbox::enqueue_all`].
    ///
    /// # Errors
    /// As the database says.
    pub async fn enqueue(&self, tx: &mut Tx, new: NewEvent) -> Result<Event, Error> {
        let mut events = self.enqueue_all(tx, vec![new]).await?;
        events.pop().ok_or(Error::NotFound)
    }

    /// Writes events in their order, each as its stream's next version, with two or three statements
    /// for all of them. Their streams stay locked until the transaction ends, so that versions are in
    /// commit order. An event whose id is in the outbox already is not written again; the one that
    /// is there is returned in its place.
    ///
    /// # Errors
    /// One id twice, before anything is written; personal fields that cannot be sealed, before any
    /// stream is locked; or as the database says. After an error roll back.
    pub async fn enqueue_all(&self, tx: &mut Tx, news: Vec<NewEvent>) -> Result<Vec<Event>, Error> {
        let mut seen = HashSet::new();
        let mut given = news.iter().filter_map(|new| new.id);
        if let Some(id) = given.find(|id| !seen.insert(*id)) {
            return Err(encoding(format!("two events with the id {id} at once")));
        }
        let count = news.len();
        self.defer_all(tx, news);
        let mut events = Deferred::write_now(tx).await?;
        // What was deferred before comes before them.
        Ok(events.split_off(events.len() - count))
    }

    /// As [`Outbox::enqueue_all`] for an event that nobody needs to see: it is written before `tx`
    /// commits, together with all others that were deferred, in their order.
    ///
    /// What the database refuses is an error of the commit, or of the next [`Outbox::enqueue`].
    pub fn defer(&self, tx: &mut Tx, new: NewEvent) {
        self.defer_all(tx, vec![new]);
    }

    /// [`Outbox::defer`] for several.
    pub fn defer_all(&self, tx: &mut Tx, news: Vec<NewEvent>) {
        for new in &news {
            // Tests run with this: what the documents say of a service's events is what it sends. Here,
            // where whoever sends it is told.
            debug_assert!(
                may_send(self.service_id, &new.event_type),
                "{} sends {} and is not among its senders in contracts::events",
                self.service_id,
                new.event_type
            );
        }
        if !news.is_empty() {
            tx.deferred::<Deferred>().add(self, news);
            tx.signal(SIGNAL);
        }
    }

    /// Seals an event's personal fields, where this process has a master key. A key that is not at hand
    /// lies in another database.
    async fn seal(&self, new: &mut NewEvent) -> Result<(), PersonalError> {
        let Some(subject) = new.subject()?.map(str::to_owned) else {
            return Ok(());
        };
        let keys = self.keys.as_ref().ok_or(PersonalError::NoKeys)?;
        if !keys.can_seal() {
            return Ok(());
        }
        let held = keys.to_seal([subject.clone()].into()).await?;
        new.seal(&subject, &held)
    }

    /// The event as its stream's `version`-th, with the trace context of the span that writes it, which
    /// was begun in `current`.
    fn event(
        &self,
        new: NewEvent,
        current: Option<TraceContext>,
        version: i64,
        now: Timestamp,
    ) -> Result<Event, Error> {
        let stream = new.stream_name().to_owned();
        let id = new.id.unwrap_or_else(Uuid::now_v7);
        let of_current = current.map(|context| context.correlation_id());
        let correlation_id = new.correlation_id.or(of_current).unwrap_or(id);
        // One click, one trace: work for one chain may write an event of another.
        let written_by = current
            .into_iter()
            .chain(new.origins)
            .find(|context| context.correlation_id() == correlation_id);
        let written_by = written_by.map(|context| context.to_string());
        let mut event = Event {
            id,
            event_type: new.event_type,
            stream,
            aggregate_id: new.aggregate_id,
            version,
            schema_version: new.schema_version,
            payload: new.payload.map_err(encoding)?,
            timestamp: now.into(),
            correlation_id,
            causation_id: new.causation_id,
            saga_id: new.saga_id,
            step: new.step,
            service_id: self.service_id.to_owned(),
            traceparent: new.traceparent.or(written_by),
        };
        let parent = trace::written_by(&event)
            .map_or(Origin::Root(event.correlation_id.as_u128()), Origin::Child);
        if let Some(span) = trace::creating(self.service_id, &event, parent) {
            event.traceparent = Some(span.context().to_string());
        }
        Ok(event)
    }
}

/// The id of the `number`-th event that `consumer` emits because of `cause`: the same on every
/// repeat, so that a repeat appends nothing new.
///
/// A UUIDv8: the first six bytes are the cause's, which in a UUIDv7 are its time, so that derived
/// ids sort with the events around them (random ids make every index insert a random one); the
/// rest is the SHA-1 that a UUIDv5 of the three values consists of.
pub fn derived_id(cause: Uuid, consumer: &str, number: u32) -> Uuid {
    let name = format!("{consumer}/{number}");
    let mut bytes = Uuid::new_v5(&cause, name.as_bytes()).into_bytes();
    bytes[..6].copy_from_slice(&cause.as_bytes()[..6]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

fn encoding(reason: String) -> Error {
    Error::Query(reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_id_repeats_and_sorts_with_its_cause() {
        let cause = Uuid::now_v7();
        let first = derived_id(cause, "badges", 1);
        assert_eq!(first, derived_id(cause, "badges", 1));
        assert_ne!(first, derived_id(cause, "badges", 2));
        assert_ne!(first, derived_id(cause, "boards", 1));
        assert_eq!(first.as_bytes()[..6], cause.as_bytes()[..6]);
        assert_eq!(first.get_version_num(), 8);
    }
}
