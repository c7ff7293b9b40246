//! Hears the lines that say "handled", with the position of the event that each is about.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// What was said on this thread.
#[derive(Clone, Default)]
pub(super) struct Lines {
    pub(super) positions: Arc<Mutex<Vec<i64>>>,
    spans: Arc<Mutex<Spans>>,
}

/// The positions that spans have as a field, and which spans are entered.
#[derive(Default)]
struct Spans {
    made: u64,
    positions: HashMap<u64, i64>,
    entered: Vec<u64>,
}

#[derive(Default)]
struct Fields {
    position: Option<i64>,
    message: String,
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name() == "position" {
            self.position = Some(value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        let mut spans = self.spans.lock().unwrap();
        spans.made += 1;
        let id = spans.made;
        if let Some(position) = fields.position {
            spans.positions.insert(id, position);
        }
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if fields.message != "handled" {
            return;
        }
        let spans = self.spans.lock().unwrap();
        let position = spans
            .entered
            .iter()
            .rev()
            .find_map(|id| spans.positions.get(id));
        let position = position.expect("it is said within the event's span");
        self.positions.lock().unwrap().push(*position);
    }

    fn enter(&self, id: &Id) {
        self.spans.lock().unwrap().entered.push(id.into_u64());
    }

    fn exit(&self, id: &Id) {
        let mut spans = self.spans.lock().unwrap();
        let found = spans.entered.iter().rposition(|one| *one == id.into_u64());
        if let Some(at) = found {
            spans.entered.remove(at);
        }
    }
}
