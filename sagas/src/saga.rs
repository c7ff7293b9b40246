//! One saga: its row, as workflows, waiting requests and operators see it.

use std::sync::atomic::{AtomicU32, Ordering};

use contracts::Recorded;
use database::Timestamp;
use event_store::{NewEvent, derived_id};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    state::{Phase, State, StepState},
    store::Unwritten,
};

/// A saga as it was read, or as the running transition has made it so far. JSON in camelCase, as
/// operators see it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Saga {
    /// Its id; `sagaId` of its events.
    pub id: Uuid,
    /// Its definition's name.
    pub definition: String,
    /// Its definition's version; it keeps it until its end.
    pub definition_version: u32,
    /// Rises with every transition.
    pub version: i64,
    /// What the whole chain of causes goes back to.
    pub correlation_id: Uuid,
    /// The trace context of the work that started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What it was started with; never changes.
    pub data: Value,
    /// Where it stands.
    #[serde(flatten)]
    pub state: State,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it last moved; within a transition, now.
    pub updated_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    #[serde(skip)]
    pub(crate) moment: Moment,
    /// What its row does not say yet.
    #[serde(skip)]
    pub(crate) unwritten: Option<Unwritten>,
}

/// Where in a transition workflow code is called: what the ids of its events derive from.
#[derive(Debug, Default)]
pub(crate) struct Moment {
    pub(crate) cause: Option<Recorded>,
    /// `{step}/{what}/{attempt}`, or the end's name.
    label: String,
    step: String,
    events: AtomicU32,
}

impl Saga {
    /// What it was started with, as `T`.
    ///
    /// # Errors
    /// When the stored data do not have that shape.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.data)
    }

    /// What the step's action or reply gave back.
    pub fn result(&self, step: &str) -> Option<&Value> {
        self.step(step)?.result.as_ref()
    }

    /// The step of that name.
    pub fn step(&self, name: &str) -> Option<&StepState> {
        self.state.step(name)
    }

    /// Where it stands as a whole.
    pub fn phase(&self) -> Phase {
        self.state.phase
    }

    /// The event that caused the running transition, where one did.
    pub fn cause(&self) -> Option<&Recorded> {
        self.moment.cause.as_ref()
    }

    /// Whether whoever waits for it can be answered: it has ended, or what its owner holds was
    /// rolled back, whatever the participants still have to do.
    pub fn is_decided(&self) -> bool {
        self.state.phase.is_end() || self.state.rolled_back
    }

    pub(crate) fn enter(&mut self, step: &str, what: &str, attempt: u32) {
        step.clone_into(&mut self.moment.step);
        self.moment.label = format!("{step}/{what}/{attempt}");
        self.moment.events = AtomicU32::new(0);
    }

    /// Gives an event all that ties it to this saga and this moment of it.
    pub(crate) fn stamp(&self, event: NewEvent) -> NewEvent {
        let number = self.moment.events.fetch_add(1, Ordering::Relaxed);
        let mut event = event
            .id(derived_id(self.id, &self.moment.label, number))
            .saga(self.id, self.moment.step.as_str());
        if let Some(traceparent) = &self.traceparent {
            event = event.begun_by(traceparent);
        }
        if let Some(cause) = &self.moment.cause {
            event = event.caused_by(cause);
        }
        event.correlation(self.correlation_id)
    }
}
