//! The contract: one list of promises that every bus keeps, and one more that those keep that have a
//! server behind them.

use std::{future::Future, ops::ControlFlow, pin::Pin};

use bus::{Bus, BusError, Delivery, Memory};
use futures::FutureExt;
use testkit::{Rabbit, eventually};
use uuid::Uuid;

use crate::{
    brokers::{Broker, InProcess, Width, connected, nats_servers},
    events::{PATIENCE, next, publish, recorded, run, subscribe, taken, until},
};

type Kept<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;
type Promise = for<'a> fn(&'a mut dyn Broker, &'static str) -> Kept<'a>;

macro_rules! promises {
    ($list:ident: $($name:ident),+ $(,)?) => {
        const $list: &[(&str, Promise)] = &[
            $((stringify!($name), |broker, label| Box::pin($name(broker, label)))),+
        ];
    };
}

promises!(
    OF_A_BUS:
    every_subscriber_gets_everything_in_order_and_as_it_was,
    what_is_published_again_may_come_again_and_hides_nothing,
    events_of_another_log_are_told_apart_by_their_epoch,
    who_leaves_takes_nobody_along,
    what_is_no_event_is_a_gap_and_no_end,
    a_slow_subscriber_is_told_of_a_gap_and_nothing_grows,
    what_went_over_it_is_counted,
    what_it_remembers_is_what_was_published_until_it_is_forgotten,
    a_position_is_found_in_what_was_published_twice,
);

promises!(
    OF_A_BUS_WITH_A_SERVER:
    a_server_that_comes_back_is_met_again_and_still_remembers,
    what_was_cut_off_half_way_is_complete_when_it_was_published_again,
    a_server_that_lost_its_disk_is_made_ready_again,
);

async fn keeps(promises: &[(&'static str, Promise)], broker: &mut dyn Broker) {
    for (promise, kept) in promises {
        println!("{}: {promise}", broker.name());
        kept(broker, promise).await;
    }
}

#[tokio::test]
async fn the_bus_within_a_process_keeps_every_promise() {
    keeps(OF_A_BUS, &mut InProcess).await;
}

#[tokio::test]
async fn nats_keeps_every_promise_in_each_version() {
    for mut server in nats_servers().await {
        keeps(OF_A_BUS, &mut server).await;
        keeps(OF_A_BUS_WITH_A_SERVER, &mut server).await;
    }
}

// Apart, since each of its starts takes seconds.
#[tokio::test]
async fn rabbitmq_keeps_every_promise_of_a_bus() {
    let mut server = Rabbit::start().await.expect("RabbitMQ starts");
    keeps(OF_A_BUS, &mut server).await;
}

#[tokio::test]
async fn rabbitmq_keeps_every_promise_of_a_bus_with_a_server() {
    let mut server = Rabbit::start().await.expect("RabbitMQ starts");
    keeps(OF_A_BUS_WITH_A_SERVER, &mut server).await;
}

async fn every_subscriber_gets_everything_in_order_and_as_it_was(
    broker: &mut dyn Broker,
    label: &'static str,
) {
    let bus = connected(broker, label, Width::Usual).await;
    publish(&*bus, &[]).await;
    publish(&*bus, &run(1..=3)).await;
    let mut first = subscribe(&*bus).await;
    let mut second = subscribe(&*bus).await;
    publish(&*bus, &run(4..=700)).await;
    for subscription in [&mut first, &mut second] {
        let positions = until(subscription, 700).await;
        assert_eq!(positions, (4..=700).collect::<Vec<_>>());
    }
    publish(&*bus, &[recorded(701)]).await;
    assert_eq!(
        next(&mut first).await,
        Delivery::Event(recorded(701).into()),
        "as it was"
    );
}

async fn what_is_published_again_may_come_again_and_hides_nothing(
    broker: &mut dyn Broker,
    label: &'static str,
) {
    let bus = connected(broker, label, Width::Usual).await;
    let mut subscription = subscribe(&*bus).await;
    publish(&*bus, &run(1..=20)).await;
    publish(&*bus, &run(10..=30)).await;
    publish(&*bus, &run(31..=31)).await;
    let positions = until(&mut subscription, 31).await;
    assert_eq!(taken(&positions), (1..=31).collect::<Vec<_>>());
}

async fn events_of_another_log_are_told_apart_by_their_epoch(
    broker: &mut dyn Broker,
    label: &'static str,
) {
    let bus = connected(broker, label, Width::Usual).await;
    let mut subscription = subscribe(&*bus).await;
    let mut foreign = recorded(1_000);
    foreign.epoch = Uuid::now_v7();
    publish(&*bus, &run(1..=1)).await;
    publish(&*bus, std::slice::from_ref(&foreign)).await;
    publish(&*bus, &run(2..=2)).await;
    for expected in [recorded(1), foreign, recorded(2)] {
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery, Delivery::Event(expected.into()));
    }
}

async fn who_leaves_takes_nobody_along(broker: &mut dyn Broker, label: &'static str) {
    let bus = connected(broker, label, Width::Usual).await;
    let leaving = subscribe(&*bus).await;
    let mut staying = subscribe(&*bus).await;
    publish(&*bus, &run(1..=5)).await;
    drop(leaving);
    publish(&*bus, &run(6..=10)).await;
    assert_eq!(until(&mut staying, 10).await, (1..=10).collect::<Vec<_>>());
    drop(staying);
    publish(&*bus, &run(11..=12)).await;
}

async fn what_is_no_event_is_a_gap_and_no_end(broker: &mut dyn Broker, label: &'static str) {
    if broker.server().is_none() {
        return;
    }
    let bus = connected(broker, label, Width::Usual).await;
    let mut subscription = subscribe(&*bus).await;
    publish(&*bus, &run(1..=1)).await;
    broker.junk(label).await;
    let newest = bus.newest().await.expect("it answers");
    assert_eq!(newest.map(|event| event.position), Some(1));
    publish(&*bus, &run(2..=2)).await;
    assert_eq!(until(&mut subscription, 2).await, [1, 0, 2]);
}

/// Published without anybody reading: far more than a narrow subscription holds at both its ends.
const FLOOD: i64 = 2_000;

async fn a_slow_subscriber_is_told_of_a_gap_and_nothing_grows(
    broker: &mut dyn Broker,
    label: &'static str,
) {
    let bus = connected(broker, label, Width::Narrow).await;
    let mut subscription = subscribe(&*bus).await;
    publish(&*bus, &run(1..=FLOOD)).await;
    // Now it reads as fast as it can, while events go on coming.
    let mut seen = Vec::new();
    let mut last = FLOOD;
    eventually(PATIENCE, || {
        last += 1;
        while let Some(delivery) = subscription.next().now_or_never() {
            seen.push(match delivery.expect("it goes on") {
                Delivery::Event(event) => event.position,
                Delivery::Gap => 0,
            });
        }
        let caught_up = seen.contains(&0) && seen.last() > Some(&FLOOD);
        let (bus, event) = (bus.clone(), recorded(last));
        async move {
            match caught_up {
                true => ControlFlow::Break(()),
                false => {
                    publish(&*bus, &[event]).await;
                    ControlFlow::Continue("it has not caught up".to_owned())
                }
            }
        }
    })
    .await;
    let of_the_flood = seen.iter().filter(|at| (1..=FLOOD).contains(*at)).count();
    assert!(of_the_flood < 1_000, "{of_the_flood} were kept");
    let events: Vec<i64> = seen.into_iter().filter(|position| *position > 0).collect();
    assert!(events.is_sorted(), "{events:?}");
    assert!(bus.status().overruns > 0);
}

async fn what_went_over_it_is_counted(broker: &mut dyn Broker, label: &'static str) {
    let bus = connected(broker, label, Width::Usual).await;
    assert_eq!(bus.reachable(), Ok(()));
    let mut subscription = subscribe(&*bus).await;
    let before = bus.status();
    assert!(before.connected && before.connects == 1, "{before:?}");
    publish(&*bus, &run(1..=50)).await;
    until(&mut subscription, 50).await;
    let after = bus.status();
    assert!(after.sent_messages >= before.sent_messages + 50);
    assert!(after.received_messages >= before.received_messages + 50);
    if broker.server().is_some() {
        assert!(after.sent_bytes > before.sent_bytes + 50 * 100);
        assert!(after.received_bytes > before.received_bytes + 50 * 100);
    }
    assert_eq!((after.connects, after.overruns), (1, 0));
}

async fn what_it_remembers_is_what_was_published_until_it_is_forgotten(
    broker: &mut dyn Broker,
    label: &'static str,
) {
    let bus = connected(broker, label, Width::Usual).await;
    // Whoever only asks makes nothing: it stays as if nobody had asked.
    for _ in 0..2 {
        assert_eq!(bus.newest().await.expect("it answers"), None);
        assert_eq!(bus.remembered(0, i64::MAX).await.expect("it answers"), []);
        bus.forget().await.expect("there is nothing to forget");
    }
    publish(&*bus, &run(1..=20)).await;
    let newest = bus.newest().await.expect("it answers");
    let middle = bus.remembered(4, 7).await.expect("it answers");
    if bus.memory() == Memory::None {
        assert_eq!((newest, middle), (None, Vec::new()));
        return;
    }
    assert_eq!(newest, Some(recorded(20)));
    assert_eq!(middle, run(5..=7));
    bus.forget().await.expect("it forgets");
    assert_eq!(bus.newest().await.expect("it answers"), None);
    publish(&*bus, &run(21..=22)).await;
    let all = bus.remembered(0, i64::MAX).await.expect("it answers");
    assert_eq!(all, run(21..=22));
}

async fn a_position_is_found_in_what_was_published_twice(
    broker: &mut dyn Broker,
    label: &'static str,
) {
    let bus = connected(broker, label, Width::Usual).await;
    if bus.memory() == Memory::None {
        return;
    }
    publish(&*bus, &run(1..=320)).await;
    // Again from the last cursor, behind the end, longer after it than ids are known again.
    let mut again = run(300..=330);
    for event in &mut again {
        event.event.id = Uuid::from_u128(event.event.id.as_u128() + 10_000);
    }
    publish(&*bus, &again).await;
    for (after, until) in [(0, 1), (299, 301), (310, 325), (329, 400), (330, 400)] {
        let found = bus.remembered(after, until).await.expect("it answers");
        let mut positions: Vec<i64> = found.iter().map(|event| event.position).collect();
        positions.sort_unstable();
        positions.dedup();
        assert_eq!(positions, (after + 1..=until.min(330)).collect::<Vec<_>>());
    }
    let newest = bus.newest().await.expect("it answers");
    assert_eq!(newest.map(|event| event.position), Some(330));
}

async fn a_server_that_comes_back_is_met_again_and_still_remembers(
    broker: &mut dyn Broker,
    label: &'static str,
) {
    let bus = connected(broker, label, Width::Usual).await;
    let server = broker.server().expect("it has one");
    let mut subscription = subscribe(&*bus).await;
    publish(&*bus, &run(1..=3)).await;
    assert_eq!(until(&mut subscription, 3).await, [1, 2, 3]);
    server.kill().await;
    let down = eventually(PATIENCE, || async { bus.publish(&run(4..=4)).await.err() }).await;
    assert!(matches!(down, BusError::Unavailable(_)), "{down}");
    eventually(PATIENCE, || async { bus.reachable().is_err() }).await;
    assert!(!bus.status().connected);
    assert!(bus.newest().await.is_err(), "it does not guess");
    server.restart().await;
    publish(&*bus, &run(4..=6)).await;
    assert_eq!(bus.reachable(), Ok(()));
    assert!(bus.status().connects >= 2);
    let all = bus.remembered(0, i64::MAX).await.expect("it answers");
    let mut positions: Vec<i64> = all.iter().map(|event| event.position).collect();
    positions.dedup();
    assert_eq!(positions, [1, 2, 3, 4, 5, 6], "confirmed, so kept");
    heard_again(&*bus, &mut subscription, 7).await;
}

/// The subscription is the one of before. What it missed meanwhile is the log's affair. The last position
/// that it took to see it.
pub(crate) async fn heard_again(
    bus: &dyn Bus,
    subscription: &mut bus::Subscription,
    from: i64,
) -> i64 {
    let mut position = from;
    eventually(PATIENCE, || {
        let event = recorded(position);
        position += 1;
        let mut heard = false;
        while let Some(Some(delivery)) = subscription.next().now_or_never() {
            heard |= matches!(delivery, Delivery::Event(event) if event.position >= from);
        }
        async move {
            publish(bus, &[event]).await;
            heard
        }
    })
    .await;
    position - 1
}

async fn a_server_that_lost_its_disk_is_made_ready_again(
    broker: &mut dyn Broker,
    label: &'static str,
) {
    let bus = connected(broker, label, Width::Usual).await;
    let server = broker.server().expect("it has one");
    let mut subscription = subscribe(&*bus).await;
    publish(&*bus, &run(1..=3)).await;
    server.restart_empty().await;
    publish(&*bus, &run(4..=6)).await;
    let mut all = bus.remembered(0, i64::MAX).await.expect("it answers");
    all.dedup();
    assert_eq!(all, run(4..=6));
    heard_again(&*bus, &mut subscription, 7).await;
}

async fn what_was_cut_off_half_way_is_complete_when_it_was_published_again(
    broker: &mut dyn Broker,
    label: &'static str,
) {
    let bus = connected(broker, label, Width::Usual).await;
    let server = broker.server().expect("it has one");
    let mut subscription = subscribe(&*bus).await;
    let events = run(1..=1_000);
    let publishing = tokio::spawn({
        let bus = bus.clone();
        let events = events.clone();
        async move { publish(&*bus, &events).await }
    });
    until(&mut subscription, 100).await;
    server.kill().await;
    server.restart().await;
    tokio::time::timeout(PATIENCE, publishing)
        .await
        .expect("it is confirmed in time")
        .expect("it does not panic");
    let mut all = bus.remembered(0, i64::MAX).await.expect("it answers");
    all.sort_by_key(|event| event.position);
    all.dedup();
    assert_eq!(all.len(), events.len());
    assert!(all == events, "each as it was");
}
