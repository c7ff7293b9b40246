//! The connections that read outside of transactions; each sees what is committed.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{reading, statement};
use crate::{
    Error, Options, PoolState, Record, Result, Value, error::closed, error::no_connection,
};

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
    idle: Vec<Connection>,
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

    /// Lends a connection to `read`, on a thread that may wait for the disk.
    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.places).acquire_owned();
        let place = tokio::time::timeout(self.options.acquire_timeout, place).await;
        let place = place.map_err(|_| no_connection())?.map_err(|_| closed())?;
        let readers = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            // Held to the end also when nobody waits for the answer any more.
            let _place = place;
            let connection = readers.take()?;
            let read = read(&connection);
            readers.give_back(connection);
            read
        });
        reading
            .await
            .map_err(|error| Error::Unavailable(error.into()))?
    }

    fn take(&self) -> Result<Connection> {
        if let Some(connection) = self.with(|connections| connections.idle.pop()) {
            return Ok(connection);
        }
        let connection = reading(&self.path, &self.options)?;
        self.with(|connections| connections.open += 1);
        Ok(connection)
    }

    fn give_back(&self, connection: Connection) {
        self.with(|connections| {
            if self.places.is_closed() {
                connections.open -= 1;
            } else {
                connections.idle.push(connection);
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
