//! The buses under test, each with what can be done to the server behind it.

use std::sync::Arc;

use async_trait::async_trait;
use bus::{Bus, InProcessBus, NatsBus, NatsOptions, RabbitBus, RabbitOptions};
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use testkit::{Nats, Rabbit, eventually};

use crate::events::PATIENCE;

/// Deliveries that a subscription of a narrow bus holds, at either end.
pub(crate) const NARROW: u32 = 64;

/// How much a subscription holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Usual,
    /// [`NARROW`].
    Narrow,
}

/// A bus implementation, of which each promise gets a bus of its own.
#[async_trait]
pub(crate) trait Broker: Send + Sync {
    /// For messages.
    fn name(&self) -> String;

    /// A bus that shares nothing with those of other labels.
    async fn bus(&self, label: &str, width: Width) -> Arc<dyn Bus>;

    /// Puts a message that is no event where the bus of the label takes its events from; returns once
    /// those who listen have it before whatever is published next.
    async fn junk(&self, _label: &str) {
        unreachable!("it carries nothing but events")
    }

    /// The server behind it, unless it is in this process.
    fn server(&mut self) -> Option<&mut dyn Server>;
}

/// A server that can be taken away.
#[async_trait]
pub(crate) trait Server: Send {
    async fn kill(&mut self);
    async fn restart(&mut self);
    async fn restart_empty(&mut self);
}

pub(crate) struct InProcess;

#[async_trait]
impl Broker for InProcess {
    fn name(&self) -> String {
        "in-process".to_owned()
    }

    async fn bus(&self, _label: &str, width: Width) -> Arc<dyn Bus> {
        Arc::new(match width {
            Width::Usual => InProcessBus::new(),
            Width::Narrow => InProcessBus::with_capacity(NARROW as usize),
        })
    }

    fn server(&mut self) -> Option<&mut dyn Server> {
        None
    }
}

pub(crate) fn nats_options(label: &str) -> NatsOptions {
    NatsOptions {
        stream: format!("BANYAN_{label}"),
        prefix: format!("banyan.{label}"),
        ..NatsOptions::default()
    }
}

#[async_trait]
impl Broker for Nats {
    fn name(&self) -> String {
        format!("NATS {:?}", self.version())
    }

    async fn bus(&self, label: &str, width: Width) -> Arc<dyn Bus> {
        let mut options = nats_options(label);
        if width == Width::Narrow {
            options.subscription_capacity = NARROW as usize;
        }
        let bus = NatsBus::connect(&self.url(), options).await;
        Arc::new(bus.expect("a usable address"))
    }

    async fn junk(&self, label: &str) {
        // The stream's acknowledgement comes after the server passed it on to subscribers; a flush
        // alone would let the next event overtake it.
        let client = async_nats::connect(self.url()).await.expect("a connection");
        let jetstream = async_nats::jetstream::new(client);
        let subject = format!("banyan.{label}.junk");
        let sent = jetstream.publish(subject, "junk".into()).await;
        sent.expect("sent").await.expect("stored");
    }

    fn server(&mut self) -> Option<&mut dyn Server> {
        Some(self)
    }
}

#[async_trait]
impl Server for Nats {
    async fn kill(&mut self) {
        Nats::kill(self).await.expect("it can be killed");
    }
    async fn restart(&mut self) {
        Nats::restart(self).await.expect("it starts");
    }
    async fn restart_empty(&mut self) {
        Nats::restart_empty(self).await.expect("it starts");
    }
}

pub(crate) fn rabbit_options(label: &str) -> RabbitOptions {
    RabbitOptions {
        exchange: format!("banyan.{label}"),
        stream: format!("banyan.{label}.stream"),
        ..RabbitOptions::default()
    }
}

#[async_trait]
impl Broker for Rabbit {
    fn name(&self) -> String {
        "RabbitMQ".to_owned()
    }

    async fn bus(&self, label: &str, width: Width) -> Arc<dyn Bus> {
        let mut options = rabbit_options(label);
        if width == Width::Narrow {
            options.queue_length = NARROW;
        }
        Arc::new(RabbitBus::connect(&self.url(), options).expect("a usable address"))
    }

    async fn junk(&self, label: &str) {
        let connection = Connection::connect(&self.url(), ConnectionProperties::default()).await;
        let channel = connection.expect("connected").create_channel().await;
        let channel = channel.expect("a channel");
        let confirmed = channel.confirm_select(ConfirmSelectOptions::default());
        confirmed.await.expect("confirms");
        let exchange = format!("banyan.{label}").into();
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let sent = channel.basic_publish(exchange, "junk".into(), options, b"junk", properties);
        sent.await.expect("sent").await.expect("confirmed");
    }

    fn server(&mut self) -> Option<&mut dyn Server> {
        Some(self)
    }
}

#[async_trait]
impl Server for Rabbit {
    async fn kill(&mut self) {
        eventually(PATIENCE, || async { self.has_noted_streams() }).await;
        Rabbit::kill(self).await.expect("it can be killed");
    }
    async fn restart(&mut self) {
        Rabbit::restart(self).await.expect("it starts");
    }
    async fn restart_empty(&mut self) {
        Rabbit::restart_empty(self).await.expect("it starts");
    }
}

/// Every version of nats-server that is installed.
pub(crate) async fn nats_servers() -> Vec<Nats> {
    let mut servers = Vec::new();
    for version in Nats::versions() {
        let server = Nats::start_version(version).await;
        servers.push(server.expect("nats-server starts"));
    }
    assert!(
        !servers.is_empty(),
        "no nats-server found: run `cargo xtask test`"
    );
    servers
}

/// A bus that is connected.
pub(crate) async fn connected(broker: &dyn Broker, label: &str, width: Width) -> Arc<dyn Bus> {
    let bus = broker.bus(label, width).await;
    eventually(PATIENCE, || async { bus.reachable().is_ok() }).await;
    bus
}
