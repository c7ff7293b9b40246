//! Events, and reading them from a subscription.

use std::time::Duration;

use bus::{Bus, Delivery, Subscription};
use contracts::{Event, Recorded};
use serde_json::json;
use testkit::eventually;
use time::OffsetDateTime;
use uuid::Uuid;

/// Longer than anything takes on a busy machine; only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const EPOCH: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);

pub(crate) fn recorded(position: i64) -> Recorded {
    Recorded {
        epoch: EPOCH,
        position,
        recorded_at: None,
        event: Event {
            id: Uuid::from_u128(u128::try_from(position).expect("positive")),
            event_type: "answer.submitted".to_owned(),
            stream: "answers-1".to_owned(),
            aggregate_id: "1".to_owned(),
            version: position,
            schema_version: 1,
            payload: json!({ "position": position }),
            timestamp: OffsetDateTime::UNIX_EPOCH,
            correlation_id: Uuid::nil(),
            causation_id: None,
            saga_id: None,
            step: None,
            service_id: "quiz".to_owned(),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        },
    }
}

pub(crate) fn run(positions: std::ops::RangeInclusive<i64>) -> Vec<Recorded> {
    positions.map(recorded).collect()
}

/// As a publisher does: again until it is confirmed.
pub(crate) async fn publish(bus: &dyn Bus, events: &[Recorded]) {
    eventually(PATIENCE, || bus.publish(events)).await;
}

pub(crate) async fn subscribe(bus: &dyn Bus) -> Subscription {
    eventually(PATIENCE, || async { bus.subscribe().await.ok() }).await
}

/// Fails the test instead of waiting for ever.
pub(crate) async fn next(subscription: &mut Subscription) -> Delivery {
    let delivery = tokio::time::timeout(PATIENCE, subscription.next()).await;
    delivery
        .expect("a delivery in time")
        .expect("the bus is there")
}

/// Positions up to and with `last`, whatever came between; a gap is 0.
pub(crate) async fn until(subscription: &mut Subscription, last: i64) -> Vec<i64> {
    let mut positions = Vec::new();
    while positions.last() != Some(&last) {
        positions.push(match next(subscription).await {
            Delivery::Event(event) => event.position,
            Delivery::Gap => 0,
        });
    }
    positions
}

/// What a reader makes of it that drops what it has: ascending, or the promise is broken.
pub(crate) fn taken(positions: &[i64]) -> Vec<i64> {
    let mut newest = 0;
    let mut taken = Vec::new();
    for position in positions {
        if *position > newest {
            newest = *position;
            taken.push(newest);
        }
    }
    taken
}
