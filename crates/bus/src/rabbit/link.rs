//! The connection to RabbitMQ: made in the background, and made again for ever.
//!
//! The client's own recovery is not used: it gives up after some attempts, and brings back what was
//! declared but not the knowledge that messages were missed meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use lapin::{
    Channel, Connection, ConnectionProperties, ErrorKind, Event, protocol::constants::REPLY_SUCCESS,
};
use tokio::{sync::watch, task::JoinHandle};

use super::{server::Server, wire};
use crate::BusError;

/// The connection, or why there is none.
type Current = Result<Arc<Connection>, String>;

/// How long a server may take to say hello.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The first and the longest pause between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);
const NOT_CONNECTED: &str = "not connected";
/// How often the connection is looked at, should its end have gone unsaid.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The connection as it is now; it is kept up for as long as somebody holds the value.
pub(super) struct Link {
    current: watch::Receiver<Current>,
    connects: Arc<AtomicU64>,
    upkeep: JoinHandle<()>,
}

impl Link {
    /// Begins to connect to the first of the servers that answers.
    pub(super) fn new(servers: Vec<Server>) -> Self {
        let (sender, current) = watch::channel(Err(NOT_CONNECTED.to_owned()));
        let connects = Arc::new(AtomicU64::new(0));
        let upkeep = tokio::spawn(keep_up(servers, sender, Arc::clone(&connects)));
        Self {
            current,
            connects,
            upkeep,
        }
    }

    /// Whether the server can be reached now, and takes messages.
    pub(super) fn state(&self) -> Result<(), String> {
        match &*self.current.borrow() {
            Ok(connection) if !connection.status().connected() => Err(NOT_CONNECTED.to_owned()),
            Ok(connection) if connection.status().blocked() => {
                Err("the broker takes no messages: it lacks memory or disk".to_owned())
            }
            Ok(_) => Ok(()),
            Err(reason) => Err(reason.clone()),
        }
    }

    pub(super) fn connects(&self) -> u64 {
        self.connects.load(Ordering::Relaxed)
    }

    /// A channel on the connection that is there now.
    pub(super) async fn channel(&self) -> Result<Channel, BusError> {
        let connection = self.current.borrow().clone();
        let connection = connection.map_err(BusError::Unavailable)?;
        match connection.create_channel().await {
            Err(error) if matches!(error.kind(), ErrorKind::ChannelsLimitReached) => {
                // The client forgets to give back some that the server closed: a fresh connection has
                // all of them.
                let closed = connection.close(REPLY_SUCCESS, "OK".into()).await;
                tracing::info!(?closed, "rabbitmq connection: out of channels");
                Err(unavailable(error))
            }
            opened => opened.map_err(unavailable),
        }
    }

    /// Returns once there is a connection. Never, where there will be none.
    pub(super) async fn connected(&self) {
        let mut current = self.current.clone();
        if current.wait_for(Result::is_ok).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.upkeep.abort();
    }
}

#[expect(clippy::needless_pass_by_value, reason = "map_err hands it over")]
pub(super) fn unavailable(error: lapin::Error) -> BusError {
    if error.is_amqp_soft_error() {
        BusError::Refused(error.to_string())
    } else {
        BusError::Unavailable(error.to_string())
    }
}

async fn keep_up(servers: Vec<Server>, sender: watch::Sender<Current>, connects: Arc<AtomicU64>) {
    let mut pause = PAUSE;
    let mut turns = servers.iter().cycle();
    loop {
        // After the last of them, and after a connection, it begins again with the preferred one.
        let mut lost = None;
        for server in turns.by_ref().take(servers.len()) {
            match connect(server).await {
                Ok(connection) => {
                    connects.fetch_add(1, Ordering::Relaxed);
                    pause = PAUSE;
                    tracing::info!(server = server.name(), "rabbitmq connection: connected");
                    sender.send_modify(|current| *current = Ok(Arc::clone(&connection)));
                    lost = Some(ended(&connection).await);
                    sender.send_modify(|current| *current = Err(NOT_CONNECTED.to_owned()));
                    break;
                }
                Err(reason) => {
                    let reason = format!("{NOT_CONNECTED}: {}: {reason}", server.name());
                    tracing::debug!(reason, "rabbitmq does not answer");
                    sender.send_modify(|current| *current = Err(reason));
                }
            }
        }
        if let Some(reason) = lost {
            tracing::info!(reason, "rabbitmq connection: disconnected");
            turns = servers.iter().cycle();
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

async fn connect(server: &Server) -> Result<Arc<Connection>, String> {
    let properties = ConnectionProperties::default().with_connection_name("banyan".into());
    let connecting = wire::connect(server, properties);
    match tokio::time::timeout(CONNECT_WITHIN, connecting).await {
        Ok(Ok(connection)) => Ok(Arc::new(connection)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {CONNECT_WITHIN:?}")),
    }
}

/// Returns once the connection is lost, with the reason.
async fn ended(connection: &Connection) -> String {
    let mut events = Box::pin(connection.events_listener());
    loop {
        let event = tokio::time::timeout(LOOK_AGAIN, events.next()).await;
        if let Ok(Some(Event::Error(error))) = &event
            && !connection.status().connected()
        {
            return error.to_string();
        }
        if !connection.status().connected() || matches!(event, Ok(None)) {
            return "the connection ended".to_owned();
        }
    }
}
