//! Which bus an address means.

use std::sync::Arc;

use crate::{Bus, BusError, NatsBus, NatsOptions, RabbitBus, RabbitOptions, shared::Shared};

/// What a bus's address begins with, and the bus that it means.
enum Kind {
    Nats,
    Rabbit,
}

/// By the first address of a list; the bus itself refuses a mixed one.
fn kind(url: &str) -> Kind {
    if url.trim_start().starts_with("amqp") {
        Kind::Rabbit
    } else {
        Kind::Nats
    }
}

/// Finds what [`connect`] would refuse about an address, without connecting.
///
/// # Errors
/// [`BusError::Configuration`]; its text holds no password.
pub fn check(url: &str) -> Result<(), BusError> {
    match kind(url) {
        Kind::Nats => NatsBus::check(url),
        Kind::Rabbit => RabbitBus::check(url),
    }
}

/// Connects in the background to NATS (`nats://host:port`) or RabbitMQ (`amqp://host:port`, and
/// `amqps://host:port` over TLS), or to the first of several servers that answers, with commas between.
/// `replicas` is how many copies of the stream NATS keeps; RabbitMQ keeps one on each of its nodes.
/// Whoever listens in this process shares one subscription.
///
/// # Errors
/// [`BusError::Configuration`] when the address is unusable. A server that does not answer yet is
/// no error.
pub async fn connect(url: &str, replicas: usize) -> Result<Arc<dyn Bus>, BusError> {
    match kind(url) {
        Kind::Nats => {
            let options = NatsOptions {
                replicas,
                ..NatsOptions::default()
            };
            Ok(Arc::new(Shared::new(NatsBus::connect(url, options).await?)))
        }
        Kind::Rabbit => {
            let bus = RabbitBus::connect(url, RabbitOptions::default())?;
            Ok(Arc::new(Shared::new(bus)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_address_says_which_bus_is_meant() {
        for (url, name) in [
            ("nats://127.0.0.1:1", "nats"),
            ("127.0.0.1:1", "nats"),
            ("amqp://guest:guest@127.0.0.1:1", "rabbitmq"),
            ("amqp://127.0.0.1:1, amqps://127.0.0.1:2/%2f", "rabbitmq"),
        ] {
            check(url).expect("usable");
            assert_eq!(connect(url, 1).await.expect("usable").name(), name, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_told_without_its_password() {
        for url in [
            "amqps://a:secret@b?cacertfile=/nowhere",
            "amqp://a:secret@b:port",
            "amqp://a:secret@b,nats://a:secret@b",
            "nats://a:secret@b,amqp://c",
        ] {
            let error = check(url).expect_err(url);
            assert!(matches!(error, BusError::Configuration(_)), "{url}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
