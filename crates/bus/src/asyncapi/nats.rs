//! How events travel over NATS.

use contracts::Recorded;
use serde_json::{Map, Value, json};

use super::{Carrier, headers::common};
use crate::{NatsOptions, message};

pub(super) struct Nats;

impl Carrier for Nats {
    const SERVER: &'static str = "nats";
    const PREFIX: &'static str = "";
    const HEADERS: &'static str = "Headers";

    fn server() -> Value {
        let options = NatsOptions::default();
        json!({
            "host": "localhost:4222",
            "protocol": "nats",
            "description": format!(
                "NATS with JetStream. The stream `{}` keeps what is published under `{}.>` for a \
                 while; the log keeps it for ever. Order by `Banyan-Position`, which has no holes \
                 within one `Banyan-Epoch`.",
                options.stream, options.prefix
            ),
        })
    }

    fn address(event_type: &str) -> String {
        format!("{}.{event_type}", NatsOptions::default().prefix)
    }

    /// The headers that [`message::encode`] writes.
    fn headers() -> Value {
        let mut properties = common("ce-");
        properties.insert(
            "Nats-Msg-Id".to_owned(),
            json!({
                "type": "string", "format": "uuid",
                "description": "The event's id: JetStream drops what it has seen.",
            }),
        );
        properties.insert(
            "Content-Type".to_owned(),
            json!({ "type": "string", "const": "application/json" }),
        );
        json!({
            "type": "object",
            "description": "What a reader needs that knows NATS and CloudEvents (binary content mode) \
                            but not this project.",
            "required": [
                "Nats-Msg-Id", "Banyan-Epoch", "Banyan-Position", "Content-Type", "ce-specversion",
                "ce-id", "ce-type", "ce-source", "ce-subject",
            ],
            "properties": properties,
        })
    }

    fn written(recorded: &Recorded) -> Map<String, Value> {
        let Ok((_, headers, _)) = message::encode("", recorded) else {
            return Map::new();
        };
        let headers = headers.iter().filter_map(|(name, values)| {
            let value = values.first()?;
            Some((name.to_string(), json!(value.as_str())))
        });
        headers.collect()
    }
}
