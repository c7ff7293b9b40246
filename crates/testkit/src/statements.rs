//! What a test sends to PostgreSQL, statement by statement: for tests of how many those are.
//!
//! Invariant: only what is sent on the thread that began to listen, which for a test on a runtime of one
//! thread is all of it. (SQLite is not listened to: a statement there is a function call.)

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};

/// Whom the driver tells of each statement.
const TARGET: &str = "sqlx::query";

/// What is asked once in a while, whatever is done: the database's clock, and what a type is.
const ASIDE: [&str; 2] = ["SELECT clock_timestamp()", "SELECT pg_type.oid,"];

/// The statements since [`Statements::listen`], by their first words, but for those that depend on the
/// moment and on the connection.
pub struct Statements {
    heard: Arc<Mutex<Vec<String>>>,
    _listening: DefaultGuard,
}

impl Statements {
    /// Listens until the value is dropped.
    #[must_use]
    pub fn listen() -> Self {
        let heard = Arc::default();
        let listener = Listener {
            heard: Arc::clone(&heard),
        };
        Self {
            heard,
            _listening: tracing::subscriber::set_default(listener),
        }
    }

    /// What was heard since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *heard)
    }
}

struct Listener {
    heard: Arc<Mutex<Vec<String>>>,
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut summary = Summary(String::new());
        event.record(&mut summary);
        if ASIDE.iter().any(|aside| summary.0.starts_with(aside)) {
            return;
        }
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(summary.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The field that holds a statement's first words.
struct Summary(String);

impl Visit for Summary {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "summary" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "summary" {
            self.0 = format!("{value:?}");
        }
    }
}
