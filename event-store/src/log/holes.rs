//! What stands in the place of events that nobody has any more.
//!
//! Invariant: with these the streams' versions are contiguous, as without a loss. A found event
//! whose predecessors in its stream are missing shows that they were among the lost, between the
//! stream's last known event and itself; what stands there takes their versions.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use contracts::{Event, Recorded};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{LOST, Log, ReadQuery, RefillError};

/// The lost positions above a head, as far as the events that were found tell of them.
pub(super) struct Holes {
    /// The newest position that was looked at.
    last: i64,
    /// Lost positions of which nothing is known.
    unknown: BTreeSet<i64>,
    /// Lost positions whose stream a later event of it has shown.
    known: BTreeMap<i64, Place>,
    /// Where each stream is: position and version of its newest event.
    streams: HashMap<String, (i64, i64)>,
}

/// A place in a stream.
struct Place {
    stream: String,
    aggregate_id: String,
    version: i64,
}

impl Holes {
    /// None yet above the log's head.
    pub(super) fn above(head: i64) -> Self {
        Self {
            last: head,
            unknown: BTreeSet::new(),
            known: BTreeMap::new(),
            streams: HashMap::new(),
        }
    }

    /// The next event that was found, in the order of positions. Its missing predecessors take the
    /// earliest lost positions that they can have had: each event that comes may have had any later
    /// one of these, so that where all can be placed all are.
    pub(super) async fn found(&mut self, log: &Log, event: &Recorded) -> Result<(), RefillError> {
        self.unknown.extend(self.last + 1..event.position);
        self.last = event.position;
        let Event {
            stream,
            aggregate_id,
            version,
            ..
        } = &event.event;
        let (mut at, newest) = match self.streams.get(stream) {
            Some(known) => *known,
            None => (0, newest_version(log, stream).await?),
        };
        for version in newest + 1..*version {
            // Without a lost position the refill is refused at this event.
            let Some(place) = self.unknown.range(at + 1..).next().copied() else {
                break;
            };
            self.unknown.remove(&place);
            let shown = Place {
                stream: stream.clone(),
                aggregate_id: aggregate_id.clone(),
                version,
            };
            self.known.insert(place, shown);
            at = place;
        }
        let newest = (event.position, *version);
        self.streams.insert(stream.clone(), newest);
        Ok(())
    }

    /// What stands at the lost position: in the stream that it is known to have been of, or else in
    /// one of its own.
    pub(super) fn filler(
        &mut self,
        epoch: Uuid,
        position: i64,
        timestamp: OffsetDateTime,
    ) -> Recorded {
        let id = Uuid::new_v5(&epoch, &position.to_be_bytes());
        let place = self.known.remove(&position).unwrap_or_else(|| Place {
            stream: format!("log-lost-{position}"),
            aggregate_id: String::new(),
            version: 1,
        });
        Recorded {
            epoch,
            position,
            recorded_at: None,
            event: Event {
                id,
                event_type: LOST.to_owned(),
                stream: place.stream,
                aggregate_id: place.aggregate_id,
                version: place.version,
                schema_version: 1,
                payload: json!({ "position": position }),
                timestamp,
                correlation_id: id,
                causation_id: None,
                saga_id: None,
                step: None,
                service_id: "log".to_owned(),
                traceparent: None,
            },
        }
    }
}

async fn newest_version(log: &Log, stream: &str) -> Result<i64, RefillError> {
    let query = ReadQuery::newest().stream(stream).limit(1);
    let newest = log.read(&query).await?.pop();
    Ok(newest.map_or(0, |recorded| recorded.event.version))
}
