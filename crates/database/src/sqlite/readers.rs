//! The connections that read outside of transactions; each sees what is committed.
//!
//! A read begins where it is called. After [`SHORT`] steps, which is what a read by key needs many
//! times over, it is given up and done again on a thread of its own, so that nobody's long read holds
//! up the tasks that share a thread with its caller.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::Semaphore;

use super::{reading, statement};
use crate::{
    Error, Options, PoolState, Record, Result, Value, error::closed, error::no_connection,
};

/// Steps of SQLite's machine after which a read is a long one: about a millisecond.
const SHORT: i32 = 20_000;

/// A pool, opened as far as it is used.
pub(crate) struct Readers {
    path: PathBuf,
    options: Options,
    places: Arc<Semaphore>,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    open: u32,
    idle: Vec<Reader>,
}

struct Reader {
    connection: Connection,
    /// Whether a long read may go on.
    patient: Arc<AtomicBool>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, options: &Options) -> Self {
        Self {
            path,
            options: options.clone(),
            places: Arc::new(Semaphore::new(options.max_connections as usize)),
            connections: Mutex::default(),
        }
    }

    pub(crate) async fn fetch_all<T: Record>(
        self: &Arc<Self>,
        text: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<T>> {
        self.run(move |connection| statement::fetch_all(connection, text, &values))
            .await
    }

    pub(crate) async fn fetch_optional<T: Record>(
        self: &Arc<Self>,
        text: &'static str,
        values: Vec<Value>,
    ) -> Result<Option<T>> {
        self.run(move |connection| statement::fetch_optional(connection, text, &values))
            .await
    }

    /// Lends a connection to `read`; where that turns out to be long, once more on another thread.
    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl Fn(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.places).acquire_owned();
        let place = tokio::time::timeout(self.options.acquire_timeout, place).await;
        let place = place.map_err(|_| no_connection())?.map_err(|_| closed())?;
        let reader = self.take()?;
        let stays_here = faults::simulated().is_some();
        reader.patient.store(stays_here, Ordering::Relaxed);
        let short = read(&reader.connection);
        if !matches!(&short, Err(error) if is_interrupted(error)) {
            self.give_back(reader);
            return short;
        }
        let readers = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            // Held to the end also when nobody waits for the answer any more.
            let _place = place;
            reader.patient.store(true, Ordering::Relaxed);
            let read = read(&reader.connection);
            readers.give_back(reader);
            read
        });
        reading
            .await
            .map_err(|error| Error::Unavailable(error.into()))?
    }

    fn take(&self) -> Result<Reader> {
        if let Some(reader) = self.with(|connections| connections.idle.pop()) {
            return Ok(reader);
        }
        let connection = reading(&self.path, &self.options)?;
        let patient = Arc::new(AtomicBool::new(false));
        let goes_on = Arc::clone(&patient);
        let gives_up = move || !goes_on.load(Ordering::Relaxed);
        connection.progress_handler(SHORT, Some(gives_up))?;
        self.with(|connections| connections.open += 1);
        Ok(Reader {
            connection,
            patient,
        })
    }

    fn give_back(&self, reader: Reader) {
        self.with(|connections| {
            if self.places.is_closed() {
                connections.open -= 1;
            } else {
                connections.idle.push(reader);
            }
        });
    }

    pub(crate) fn state(&self) -> PoolState {
        self.with(|connections| PoolState {
            name: "readers",
            open: connections.open,
            idle: u32::try_from(connections.idle.len()).unwrap_or(u32::MAX),
            max: self.options.max_connections,
        })
    }

    pub(super) async fn close(&self) {
        self.places.close();
        self.with(|connections| {
            connections.open -= u32::try_from(connections.idle.len()).unwrap_or(connections.open);
            connections.idle.clear();
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Connections) -> T) -> T {
        act(&mut self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether a read was given up for being long.
fn is_interrupted(error: &Error) -> bool {
    let Error::Query(cause) = error else {
        return false;
    };
    let cause = cause.downcast_ref::<rusqlite::Error>();
    cause.and_then(rusqlite::Error::sqlite_error_code) == Some(ErrorCode::OperationInterrupted)
}
