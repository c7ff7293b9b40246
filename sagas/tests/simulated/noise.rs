//! Events that have to do with no saga, of which the log refuses some: a stranger has written into their
//! stream. They stand still, and hold up nobody else.

use contracts::Payload;
use database::{Database, params};
use event_store::{Append, Log, NewEvent, relay::clear_error};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    dice::Dice,
    fate::Fate,
    process::OF_PARTIES,
    shop::{self, OUTBOX},
    world::World,
};

/// The stream that the stranger may have written into, and one that it has not.
const STREAMS: [&str; 2] = ["noise-stranger", "noise-own"];

/// What was written besides the outboxes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise {
    /// The stranger's events.
    pub(crate) strange: usize,
}

impl Noise {
    pub(crate) async fn begin(fate: &Fate, log: &Log) -> Self {
        if fate.roll(|dice| dice.below(3)) > 0 {
            return Self { strange: 0 };
        }
        let id = id(fate);
        let event = contracts::Event {
            id,
            event_type: shop::Noise::TYPE.to_owned(),
            stream: STREAMS[0].to_owned(),
            aggregate_id: String::new(),
            version: 1,
            schema_version: 1,
            payload: json!({}),
            timestamp: OffsetDateTime::UNIX_EPOCH,
            correlation_id: id,
            causation_id: None,
            saga_id: None,
            step: None,
            service_id: "stranger".to_owned(),
            traceparent: None,
        };
        let appended = log.append(vec![Append::exact(event)]).await;
        appended.expect("a stranger's event");
        Self { strange: 1 }
    }
}

impl World {
    pub(crate) async fn the_owner_tells_of_something_else(&mut self) {
        let replica = self.roll_below(OF_PARTIES);
        self.look_at_clocks(replica);
        let (id, stream) = (id(self.fate()), self.roll_below(STREAMS.len()));
        let Some(process) = &self.processes[replica] else {
            return;
        };
        let told = tells(&process.database, id, STREAMS[stream]).await.is_ok();
        self.moved = true;
        self.trace
            .add(|| format!("{replica} tells of {}: {told}", STREAMS[stream]));
        self.notice_death(replica);
    }

    /// An operator hopes that the log takes now what it refused.
    pub(crate) async fn an_operator_lets_a_stream_be_tried_again(&mut self) {
        let sql = "SELECT id FROM outbox WHERE error IS NOT NULL ORDER BY sequence LIMIT 1";
        let stuck: Option<(Uuid,)> = self
            .owner
            .fetch_optional(sql, params![])
            .await
            .expect("a row");
        let replica = self.roll_below(OF_PARTIES);
        self.look_at_clocks(replica);
        if let (Some((id,)), Some(process)) = (stuck, &self.processes[replica]) {
            let cleared = clear_error(&process.database, id).await.is_ok();
            self.trace.add(|| format!("{id} is tried again: {cleared}"));
        }
    }
}

fn id(fate: &Fate) -> Uuid {
    let [high, low] = [(); 2].map(|()| u128::from(fate.roll(Dice::next)));
    Uuid::from_u128(high << 64 | low)
}

async fn tells(database: &Database, id: Uuid, stream: &str) -> database::Result<()> {
    let mut tx = database.begin().await?;
    let event = NewEvent::of(&shop::Noise {}).stream(stream).id(id);
    OUTBOX.enqueue(&mut tx, event.correlation(id)).await?;
    tx.commit().await
}
