//! Consumers as an operator sees them.

use std::collections::BTreeMap;

use database::{Error, params};
use serde::Serialize;
use uuid::Uuid;

use super::{
    Consumers, Kind, Reader, State,
    checkpoint::{self, Found},
    split::Change,
};

/// A consumer as an operator sees it, or a part of one.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerStatus {
    /// Its name.
    pub name: String,
    /// Whether it may be replayed.
    pub kind: Kind,
    /// The event types that it wants; none means all.
    pub types: &'static [&'static str],
    /// The log that its checkpoint belongs to.
    pub epoch: Uuid,
    /// How far it is: what its database says, or what this process has read on from there. Never
    /// what was read before a replay.
    pub position: i64,
    /// Positions between it and the log's head.
    pub lag: i64,
    /// Events set aside.
    pub parked: i64,
    /// Whether an operator paused it.
    pub paused: bool,
    /// `running`, `standby` (another replica handles), `paused`, `waiting` (it has another number of
    /// parts than this process is made for), `refused`, `stopped`: what it does in this process.
    pub state: &'static str,
    /// Why it refuses the log or waits, where it does.
    pub reason: Option<String>,
}

impl Consumers {
    /// All consumers with their checkpoints; of a split one, each part.
    ///
    /// # Errors
    /// As the databases say.
    pub async fn list(&self) -> Result<Vec<ConsumerStatus>, Error> {
        let head = self.log.head().await?;
        let parked = self.parked_counts().await?;
        let mut list = Vec::with_capacity(self.readers.len());
        for reader in self.readers.iter().chain(&self.seconds) {
            let found = checkpoint::of(&self.database, reader, head.epoch, Change::Never).await?;
            let parked = parked.get(reader.name()).copied().unwrap_or(0);
            list.extend(status(reader, found, &head, parked));
        }
        Ok(list)
    }

    /// The status of the consumer `name`, or of a part; of one that is split what is said of all its
    /// parts: as far as the last of them.
    ///
    /// # Errors
    /// As the databases say.
    pub async fn status(&self, name: &str) -> Result<Option<ConsumerStatus>, Error> {
        let names: Vec<&str> = self
            .named(name)
            .iter()
            .map(|reader| reader.name())
            .collect();
        let all = self.list().await?.into_iter();
        let parts = all.filter(|status| names.contains(&status.name.as_str()));
        Ok(parts
            .reduce(ConsumerStatus::and)
            .map(|status| ConsumerStatus {
                name: name.to_owned(),
                ..status
            }))
    }

    /// How many events are parked: of each consumer here, and of those from before that still have
    /// some.
    pub(crate) async fn parked_counts(&self) -> Result<BTreeMap<String, i64>, Error> {
        let sql = "SELECT consumer, COUNT(*) FROM parked_events GROUP BY consumer";
        let parked: Vec<(String, i64)> = self.database.fetch_all(sql, params![]).await?;
        let none = self
            .readers
            .iter()
            .map(|reader| (reader.name().to_owned(), 0));
        Ok(none.chain(parked).collect())
    }
}

/// What is said of a consumer whose parts do different things: the later one.
const STATES: [&str; 6] = [
    "standby", "running", "paused", "stopped", "waiting", "refused",
];

impl ConsumerStatus {
    /// Two parts as one.
    fn and(self, other: Self) -> Self {
        let (parked, lag) = (self.parked + other.parked, self.lag.max(other.lag));
        let paused = self.paused || other.paused;
        let rank = |status: &Self| STATES.iter().position(|state| *state == status.state);
        let shown = if rank(&other) > rank(&self) {
            (other.state, other.reason)
        } else {
            (self.state, self.reason)
        };
        Self {
            position: self.position.min(other.position),
            lag,
            parked,
            paused,
            state: shown.0,
            reason: shown.1,
            ..self
        }
    }
}

fn status(
    reader: &Reader,
    found: Found,
    head: &crate::Head,
    parked: i64,
) -> Option<ConsumerStatus> {
    let progress = reader.reporter.progress();
    let mut state = progress.state();
    let (place, paused) = match found {
        Found::At(checkpoint) => (checkpoint.place(), checkpoint.paused),
        Found::NotBuilt => return None,
        Found::Elsewhere(elsewhere) => {
            if state == State::Stopped {
                state = State::Waiting(elsewhere.reason);
            }
            (elsewhere.lowest.unwrap_or((head.epoch, 0)), false)
        }
        Found::Gone(reason) => {
            state = State::Refused(reason);
            ((head.epoch, 0), false)
        }
    };
    let read_here = progress
        .position_from(place)
        .filter(|_| matches!(state, State::Running | State::Standby));
    let position = read_here.unwrap_or(place.1);
    Some(ConsumerStatus {
        name: reader.name().to_owned(),
        kind: reader.handler.kind(),
        types: reader.handler.types(),
        epoch: place.0,
        position,
        lag: (head.position - position).max(0),
        parked,
        paused,
        state: match state {
            State::Running => "running",
            State::Standby => "standby",
            State::Paused => "paused",
            State::Waiting(_) => "waiting",
            State::Refused(_) => "refused",
            State::Stopped => "stopped",
        },
        reason: match state {
            State::Refused(reason) | State::Waiting(reason) => Some(reason),
            State::Running | State::Standby | State::Paused | State::Stopped => None,
        },
    })
}
