//! The events that are written: some 300 bytes of payload, a hundred of them in a stream.

use clap::ValueEnum;
use contracts::Event;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

/// Events in one stream, by one caller, before it takes the next.
pub(crate) const IN_A_STREAM: i64 = 100;
pub(crate) const TYPE: &str = "measured.happened";
pub(crate) const SERVICE: &str = "measure";
/// With it, a row weighs what eventsourcing's weighs with the whole payload: its rows have an id, a
/// version and a topic beside it, ours 16 columns.
const NARROW: &str = "Which of these rivers is the longest one? One of the four below.";

/// What ids look like.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Ids {
    /// By time: the next lies beside the last one in an index.
    Ordered,
    /// Anywhere in the index.
    Random,
}

impl Ids {
    pub(crate) fn next(self) -> Uuid {
        match self {
            Self::Ordered => Uuid::now_v7(),
            Self::Random => Uuid::new_v4(),
        }
    }
}

/// Makes one event after the other; each caller has its own streams.
pub(crate) struct Source {
    ids: Ids,
    is_narrow: bool,
    stream: String,
    version: i64,
}

impl Source {
    pub(crate) fn new(ids: Ids, is_narrow: bool) -> Self {
        Self {
            ids,
            is_narrow,
            stream: String::new(),
            version: IN_A_STREAM,
        }
    }

    pub(crate) fn next(&mut self) -> Event {
        if self.version == IN_A_STREAM {
            self.stream = format!("measured-{}", self.ids.next());
            self.version = 0;
        }
        self.version += 1;
        Event {
            id: self.ids.next(),
            event_type: TYPE.to_owned(),
            stream: self.stream.clone(),
            aggregate_id: self.stream.clone(),
            version: self.version,
            schema_version: 1,
            payload: match self.is_narrow {
                true => json!({ "number": self.version, "text": NARROW }),
                false => payload(self.version),
            },
            timestamp: OffsetDateTime::now_utc(),
            correlation_id: self.ids.next(),
            causation_id: None,
            saga_id: None,
            step: None,
            service_id: SERVICE.to_owned(),
            traceparent: None,
        }
    }

    pub(crate) fn batch(&mut self, count: usize) -> Vec<Event> {
        (0..count).map(|_| self.next()).collect()
    }
}

fn payload(number: i64) -> Value {
    json!({
        "userId": "0190a7c4-3f51-7a01-8c1e-5f0f4ad1b201",
        "questionId": "0190a7c4-3f51-7a01-8c1e-5f0f4ad1b202",
        "quizMode": "classic",
        "number": number,
        "isCorrect": true,
        "text": "Which of these rivers is the longest one? One of those four that are named below, \
                 and no other one; whoever does not know may guess, and learn.",
    })
}
