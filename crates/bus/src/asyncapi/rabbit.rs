//! How events travel over RabbitMQ.

use contracts::Recorded;
use serde_json::{Map, Value, json};

use super::{Carrier, headers::common};
use crate::{
    RabbitOptions,
    rabbit::{PERSISTENT, headers},
};

/// The version of AsyncAPI's bindings for AMQP 0-9-1 that these are of.
const BINDING: &str = "0.3.0";

pub(super) struct Rabbit;

impl Carrier for Rabbit {
    const SERVER: &'static str = "rabbitmq";
    const PREFIX: &'static str = "rabbitmq.";
    const HEADERS: &'static str = "RabbitHeaders";

    fn server() -> Value {
        let options = RabbitOptions::default();
        json!({
            "host": "localhost:5672",
            "protocol": "amqp",
            "protocolVersion": "0.9.1",
            "description": format!(
                "RabbitMQ, where it is the bus instead of NATS: bind a queue to the topic exchange \
                 `{}`, or read what was missed from the stream `{}`, which keeps it for a while; the \
                 log keeps it for ever. `message_id` is the event's id; an event that was published \
                 again is there twice. Order by `Banyan-Position`, which has no holes within one \
                 `Banyan-Epoch`.",
                options.exchange, options.stream
            ),
        })
    }

    /// The routing key.
    fn address(event_type: &str) -> String {
        event_type.to_owned()
    }

    fn channel_bindings() -> Option<Value> {
        Some(json!({ "amqp": {
            "is": "routingKey",
            "exchange": {
                "name": RabbitOptions::default().exchange,
                "type": "topic",
                "durable": true,
                "autoDelete": false,
                "vhost": "/",
            },
            "bindingVersion": BINDING,
        } }))
    }

    fn operation_bindings(action: &str) -> Option<Value> {
        let how = match action {
            "send" => json!({ "deliveryMode": PERSISTENT, "bindingVersion": BINDING }),
            _ => json!({ "ack": true, "bindingVersion": BINDING }),
        };
        Some(json!({ "amqp": how }))
    }

    /// The headers that [`headers`] writes.
    fn headers() -> Value {
        let properties = common("cloudEvents:");
        json!({
            "type": "object",
            "description": "What a reader needs that knows AMQP and CloudEvents (binary content mode) \
                            but not this project.",
            "required": [
                "Banyan-Epoch", "Banyan-Position", "cloudEvents:specversion", "cloudEvents:id",
                "cloudEvents:type", "cloudEvents:source", "cloudEvents:subject",
            ],
            "properties": properties,
        })
    }

    fn written(recorded: &Recorded) -> Map<String, Value> {
        let headers = headers(recorded).into_iter();
        headers
            .map(|(name, value)| (name, Value::String(value)))
            .collect()
    }
}
