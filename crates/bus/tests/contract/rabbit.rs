//! What RabbitMQ promises beyond the contract: what others find in its messages, and what becomes of
//! a stream that goes away.

use bus::{Bus, BusError, RabbitBus};
use futures::StreamExt;
use lapin::{
    Connection, ConnectionProperties,
    options::{
        BasicConsumeOptions, BasicQosOptions, ExchangeDeleteOptions, QueueDeclareOptions,
        QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use testkit::{
    Rabbit, eventually,
    proxy::{FaultProxy, Mode},
};

use crate::{
    brokers::rabbit_options,
    events::{EPOCH, PATIENCE, publish, recorded, run, subscribe, until},
};

async fn connect(server: &Rabbit, label: &str) -> RabbitBus {
    let bus = RabbitBus::connect(&server.url(), rabbit_options(label)).expect("a usable address");
    eventually(PATIENCE, || async { bus.reachable().is_ok() }).await;
    bus
}

async fn channel(server: &Rabbit) -> lapin::Channel {
    let connection = Connection::connect(&server.url(), ConnectionProperties::default()).await;
    let channel = connection.expect("connected").create_channel().await;
    channel.expect("a channel")
}

#[tokio::test]
async fn its_messages_are_cloud_events_and_what_somebody_deleted_is_made_again() {
    let server = Rabbit::start().await.expect("RabbitMQ starts");
    messages_are_cloud_events(&server).await;
    a_stream_that_somebody_deleted_is_made_again(&server).await;
    an_exchange_that_somebody_deleted_is_made_again(&server).await;
    a_queue_that_is_no_stream_is_told(&server).await;
    a_network_that_swallows_everything_is_told_in_bounded_time(&server).await;
}

async fn messages_are_cloud_events(server: &Rabbit) {
    let bus = connect(server, "told").await;
    publish(&bus, &run(1..=7)).await;
    let channel = channel(server).await;
    channel
        .basic_qos(1, BasicQosOptions::default())
        .await
        .unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), AMQPValue::LongLongInt(6));
    let stream = "banyan.told.stream".into();
    let reading =
        channel.basic_consume(stream, "".into(), BasicConsumeOptions::default(), arguments);
    let message = reading.await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(message.routing_key.as_str(), "answer.submitted");
    assert_eq!(message.exchange.as_str(), "banyan.told");
    let properties = message.properties;
    let event = recorded(7).event;
    let id = event.id.to_string();
    let text = |text: &Option<lapin::types::ShortString>| text.as_ref().map(ToString::to_string);
    assert_eq!(text(properties.message_id()), Some(id.clone()));
    assert_eq!(
        text(properties.content_type()).as_deref(),
        Some("application/json")
    );
    assert_eq!(properties.delivery_mode(), &Some(2));
    let headers = properties.headers().clone().expect("headers");
    let header = |name: &str| match headers.inner().get(name) {
        Some(AMQPValue::LongString(text)) => Some(text.to_string()),
        _ => None,
    };
    assert_eq!(header("Banyan-Epoch"), Some(EPOCH.to_string()));
    assert_eq!(header("Banyan-Position").as_deref(), Some("7"));
    assert_eq!(header("cloudEvents:specversion").as_deref(), Some("1.0"));
    assert_eq!(header("cloudEvents:id"), Some(id));
    assert_eq!(
        header("cloudEvents:type").as_deref(),
        Some("answer.submitted")
    );
    assert_eq!(
        header("cloudEvents:source").as_deref(),
        Some("/services/quiz")
    );
    assert_eq!(header("cloudEvents:subject").as_deref(), Some("1"));
    assert_eq!(
        header("cloudEvents:time").as_deref(),
        Some("1970-01-01T00:00:00Z")
    );
    assert_eq!(header("traceparent"), event.traceparent);
}

/// A message that reaches no stream is confirmed all the same, so this is noticed by other means.
async fn a_stream_that_somebody_deleted_is_made_again(server: &Rabbit) {
    let bus = connect(server, "deleted").await;
    let mut subscription = subscribe(&bus).await;
    publish(&bus, &run(1..=3)).await;
    let stream = "banyan.deleted.stream".into();
    let deleting = channel(server).await;
    let deleted = deleting.queue_delete(stream, QueueDeleteOptions::default());
    deleted.await.unwrap();
    // The news of it may come behind the next events: they, too, are published again.
    eventually(PATIENCE, || async {
        publish(&bus, &run(4..=5)).await;
        bus.newest().await.map(|newest| newest.is_some())
    })
    .await;
    until(&mut subscription, 5).await;
}

async fn an_exchange_that_somebody_deleted_is_made_again(server: &Rabbit) {
    let bus = connect(server, "exchange").await;
    let mut subscription = subscribe(&bus).await;
    publish(&bus, &run(1..=3)).await;
    until(&mut subscription, 3).await;
    let deleting = channel(server).await;
    let exchange = "banyan.exchange".into();
    let deleted = deleting.exchange_delete(exchange, ExchangeDeleteOptions::default());
    deleted.await.unwrap();
    publish(&bus, &run(4..=5)).await;
    let all = bus.remembered(0, i64::MAX).await.unwrap();
    assert_eq!(all, run(1..=5));
}

async fn a_queue_that_is_no_stream_is_told(server: &Rabbit) {
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let name = "banyan.plain.stream".into();
    let making = channel(server).await;
    let made = making.queue_declare(name, options, FieldTable::default());
    made.await.unwrap();
    let bus = connect(server, "plain").await;
    publish(&bus, &run(1..=1)).await;
    let refused = bus.newest().await.expect_err("no stream");
    assert!(
        matches!(&refused, BusError::Refused(why) if why.contains("banyan.plain.stream")),
        "{refused}"
    );
}

async fn a_network_that_swallows_everything_is_told_in_bounded_time(server: &Rabbit) {
    let proxy = FaultProxy::start(server.address()).await.unwrap();
    let url = format!("amqp://{}", proxy.address());
    let bus = RabbitBus::connect(&url, rabbit_options("swallowed")).unwrap();
    let mut subscription = subscribe(&bus).await;
    publish(&bus, &run(1..=3)).await;
    until(&mut subscription, 3).await;
    proxy.set(Mode::Blackhole).await;
    let unconfirmed = tokio::time::timeout(PATIENCE, bus.publish(&run(4..=4))).await;
    let error = unconfirmed.expect("in time").expect_err("nobody answers");
    assert!(matches!(error, BusError::Unavailable(_)), "{error}");
    // Nothing is heard, not even that the server is there.
    eventually(PATIENCE, || async { bus.reachable().is_err() }).await;
    proxy.set(Mode::Pass).await;
    proxy.sever().await;
    publish(&bus, &run(4..=5)).await;
    let newest = bus.newest().await.unwrap();
    assert_eq!(newest, Some(recorded(5)));
}
