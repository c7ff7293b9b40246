//! What NATS promises beyond the contract: what others find in the stream.

use bus::{Bus, BusError, NatsBus, NatsOptions};
use contracts::Recorded;
use futures::StreamExt;
use testkit::Nats;

use crate::{
    brokers::nats_servers as servers,
    events::{EPOCH, PATIENCE, publish, recorded, run},
};

async fn nats(server: &Nats) -> NatsBus {
    NatsBus::connect(&server.url(), NatsOptions::default())
        .await
        .expect("a usable address")
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
async fn who_looks_at_what_is_remembered_makes_no_stream() {
    for server in servers().await {
        let bus = nats(&server).await;
        let nothing = || async { bus.newest().await.is_ok_and(|newest| newest.is_none()) };
        testkit::eventually(PATIENCE, nothing).await;
        bus.forget().await.unwrap();
        let jetstream = async_nats::jetstream::new(bus_client(&server).await);
        let stream = jetstream.get_stream("BANYAN_EVENTS").await;
        assert!(stream.is_err(), "nobody has published");
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
