//! What every bus promises, over the in-process one and every nats-server found; and what NATS
//! promises beyond it.

use std::{sync::Arc, time::Duration};

use bus::{Bus, BusError, Delivery, InProcessBus, NatsBus, NatsOptions, Subscription};
use contracts::{Event, Recorded};
use futures::StreamExt;
use serde_json::json;
use testkit::{Nats, eventually};
use time::OffsetDateTime;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);
const EPOCH: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);

fn recorded(position: i64) -> Recorded {
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

fn run(positions: std::ops::RangeInclusive<i64>) -> Vec<Recorded> {
    positions.map(recorded).collect()
}

async fn servers() -> Vec<Nats> {
    let mut servers = Vec::new();
    for version in Nats::versions() {
        servers.push(
            Nats::start_version(version)
                .await
                .expect("nats-server starts"),
        );
    }
    assert!(
        !servers.is_empty(),
        "no nats-server found: run `cargo xtask test`"
    );
    servers
}

async fn nats(server: &Nats) -> NatsBus {
    NatsBus::connect(&server.url(), NatsOptions::default())
        .await
        .expect("a usable address")
}

async fn publish(bus: &dyn Bus, events: &[Recorded]) {
    eventually(PATIENCE, || bus.publish(events)).await;
}

/// Events up to and with `last`, whatever came between.
async fn until(subscription: &mut Subscription, last: i64) -> Vec<i64> {
    let mut positions = Vec::new();
    while positions.last() != Some(&last) {
        let delivery = tokio::time::timeout(PATIENCE, subscription.next()).await;
        match delivery
            .expect("a delivery in time")
            .expect("the bus is there")
        {
            Delivery::Event(event) => positions.push(event.position),
            Delivery::Gap => positions.push(0),
        }
    }
    positions
}

/// The same for every bus: each subscriber gets everything from its subscription on, in order and
/// as it was.
async fn keeps_the_contract(bus: Arc<dyn Bus>) {
    publish(&*bus, &run(1..=3)).await;
    let mut first = bus.subscribe().await.expect("a subscription");
    let mut second = bus.subscribe().await.expect("a subscription");
    publish(&*bus, &run(4..=700)).await;
    for subscription in [&mut first, &mut second] {
        let positions = until(subscription, 700).await;
        assert_eq!(positions, (4..=700).collect::<Vec<_>>(), "{}", bus.name());
    }
    publish(&*bus, &[recorded(701)]).await;
    match first.next().await {
        Some(Delivery::Event(event)) => assert_eq!(*event, recorded(701)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn subscribers_get_everything_in_order_in_process() {
    keeps_the_contract(Arc::new(InProcessBus::new())).await;
}

#[tokio::test]
async fn subscribers_get_everything_in_order_over_nats() {
    for server in servers().await {
        keeps_the_contract(Arc::new(nats(&server).await)).await;
    }
}

#[tokio::test]
async fn an_in_process_subscriber_that_lags_is_told_of_the_gap() {
    let bus = InProcessBus::with_capacity(4);
    let mut subscription = bus.subscribe().await.unwrap();
    bus.publish(&run(1..=20)).await.unwrap();
    assert_eq!(until(&mut subscription, 20).await[0], 0, "a gap first");
}

#[tokio::test]
async fn messages_are_cloud_events_and_the_server_knows_repeats() {
    for server in servers().await {
        let bus = nats(&server).await;
        publish(&bus, &run(1..=300)).await;
        publish(&bus, &run(1..=300)).await;
        let client = async_nats::connect(server.url()).await.unwrap();
        let jetstream = async_nats::jetstream::new(client);
        let mut stream = jetstream.get_stream("BANYAN_EVENTS").await.unwrap();
        assert_eq!(
            stream.info().await.unwrap().state.messages,
            300,
            "each id once"
        );
        let message = stream.get_raw_message(7).await.unwrap();
        assert_eq!(message.subject.as_str(), "banyan.events.answer.submitted");
        let header = |name: &str| {
            message
                .headers
                .get(name)
                .map(|value| value.as_str().to_owned())
        };
        let event = recorded(7).event;
        assert_eq!(header("Nats-Msg-Id"), Some(event.id.to_string()));
        assert_eq!(header("Banyan-Epoch"), Some(EPOCH.to_string()));
        assert_eq!(header("Banyan-Position").as_deref(), Some("7"));
        assert_eq!(header("ce-specversion").as_deref(), Some("1.0"));
        assert_eq!(header("ce-type").as_deref(), Some("answer.submitted"));
        assert_eq!(header("ce-source").as_deref(), Some("/services/quiz"));
        assert_eq!(header("traceparent"), event.traceparent);
        let consumer = stream
            .create_consumer(async_nats::jetstream::consumer::pull::Config::default())
            .await
            .unwrap();
        let messages = consumer.fetch().max_messages(300).messages().await.unwrap();
        let positions: Vec<i64> = messages
            .map(|message| serde_json::from_slice::<Recorded>(&message.unwrap().payload).unwrap())
            .map(|event| event.position)
            .collect()
            .await;
        assert_eq!(
            positions,
            (1..=300).collect::<Vec<_>>(),
            "stored in position order"
        );
    }
}

#[tokio::test]
async fn a_server_that_was_down_or_lost_its_disk_is_met_again() {
    for mut server in servers().await {
        let bus = nats(&server).await;
        let mut subscription = bus.subscribe().await.unwrap();
        publish(&bus, &run(1..=3)).await;
        server.kill().await.unwrap();
        let down = eventually(PATIENCE, || async { bus.publish(&run(4..=4)).await.err() }).await;
        assert!(matches!(down, BusError::Unavailable(_)), "{down}");
        server.restart_empty().await.unwrap();
        publish(&bus, &run(4..=6)).await;
        let mut stream = async_nats::jetstream::new(bus_client(&server).await)
            .get_stream("BANYAN_EVENTS")
            .await
            .unwrap();
        let messages = stream.info().await.unwrap().state.messages;
        assert_eq!(messages, 3, "the stream was made again");
        // The subscription is the one of before. What it missed meanwhile is the log's affair.
        eventually(PATIENCE, || async {
            bus.publish(&run(7..=7)).await.is_ok()
        })
        .await;
        assert_eq!(until(&mut subscription, 7).await.last(), Some(&7));
    }
}

#[tokio::test]
async fn who_looks_at_what_is_remembered_makes_no_stream_and_reads_a_part() {
    for server in servers().await {
        let bus = nats(&server).await;
        let nothing = || async { bus.newest().await.is_ok_and(|newest| newest.is_none()) };
        eventually(PATIENCE, nothing).await;
        assert_eq!(bus.remembered(0, i64::MAX).await.unwrap(), []);
        bus.forget().await.unwrap();
        let jetstream = async_nats::jetstream::new(bus_client(&server).await);
        let stream = jetstream.get_stream("BANYAN_EVENTS").await;
        assert!(stream.is_err(), "nobody has published");

        publish(&bus, &run(1..=320)).await;
        // Again from the last cursor, behind the end, longer after it than ids are known again.
        let again: Vec<Recorded> = run(300..=330)
            .into_iter()
            .map(|mut event| {
                event.event.id = Uuid::from_u128(event.event.id.as_u128() + 10_000);
                event
            })
            .collect();
        publish(&bus, &again).await;
        for (after, until) in [(0, 1), (299, 301), (310, 325), (329, 400), (330, 400)] {
            let mut positions: Vec<i64> = bus
                .remembered(after, until)
                .await
                .unwrap()
                .iter()
                .map(|event| event.position)
                .collect();
            positions.sort_unstable();
            positions.dedup();
            assert_eq!(positions, (after + 1..=until.min(330)).collect::<Vec<_>>());
        }
        let newest = bus.newest().await.unwrap().expect("an event");
        assert_eq!(newest.position, 330);
    }
}

#[tokio::test]
async fn a_stream_that_somebody_deleted_is_made_again() {
    for server in servers().await {
        let bus = nats(&server).await;
        publish(&bus, &run(1..=3)).await;
        let jetstream = async_nats::jetstream::new(bus_client(&server).await);
        jetstream.delete_stream("BANYAN_EVENTS").await.unwrap();
        publish(&bus, &run(4..=5)).await;
        let mut stream = jetstream.get_stream("BANYAN_EVENTS").await.unwrap();
        assert_eq!(stream.info().await.unwrap().state.messages, 2);
    }
}

#[tokio::test]
async fn what_is_no_event_of_ours_is_a_gap_and_no_end() {
    for server in servers().await {
        let bus = nats(&server).await;
        let mut subscription = bus.subscribe().await.unwrap();
        publish(&bus, &run(1..=1)).await;
        // The stream's acknowledgement comes after the server passed it on to subscribers; a flush
        // alone would let the next event overtake it.
        let jetstream = async_nats::jetstream::new(bus_client(&server).await);
        let sent = jetstream.publish("banyan.events.junk", "junk".into()).await;
        sent.unwrap().await.unwrap();
        let newest = bus.newest().await.unwrap().map(|event| event.position);
        assert_eq!(newest, Some(1));
        publish(&bus, &run(2..=2)).await;
        assert!(until(&mut subscription, 2).await.contains(&0));
    }
}

#[tokio::test]
async fn an_unusable_address_is_told_at_once() {
    let refused = NatsBus::connect("http://[", NatsOptions::default()).await;
    assert!(matches!(refused, Err(BusError::Configuration(_))));
}

async fn bus_client(server: &Nats) -> async_nats::Client {
    async_nats::connect(server.url())
        .await
        .expect("a connection")
}

/// The reader of the guide on event contracts.
const LISTENER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events/listen.py");

#[tokio::test]
async fn a_service_in_python_reads_what_it_missed_and_refuses_what_does_not_fit_the_schema() {
    let server = servers().await.pop().expect("a server");
    let bus = nats(&server).await;
    let payload = contracts::events::contract("answer.submitted")
        .expect("a contract")
        .example();
    let example = |position| {
        let mut recorded = recorded(position);
        recorded.event.payload = payload.clone();
        recorded
    };
    publish(&bus, &[example(1), example(2)]).await;
    let listen = async |count: &str| {
        let python = testkit::python("python").expect("installed by the test command");
        let listener = tokio::process::Command::new(python)
            .args([
                LISTENER,
                &server.url(),
                "tester",
                "answer.submitted",
                "--count",
                count,
            ])
            .output();
        let output = tokio::time::timeout(PATIENCE, listener)
            .await
            .expect("it ends");
        let output = output.expect("python starts");
        let told = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&told).into_owned(),
        )
    };
    let (code, told) = listen("2").await;
    assert_eq!(code, Some(0), "{told}");
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].starts_with("1 answer.submitted {"), "{told}");
    assert!(lines[1].starts_with("2 answer.submitted {"), "{told}");
    // The payload of the other tests is nobody's.
    publish(&bus, &[recorded(3)]).await;
    let (code, told) = listen("1").await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("3 answer.submitted does not fit"), "{told}");
}
