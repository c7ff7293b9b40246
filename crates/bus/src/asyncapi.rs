//! What a service says of its events: an AsyncAPI 3 document, made from the types of the payloads,
//! the catalogue's senders and the consumers that the service runs.
//!
//! Each event is described once for each broker that can be the bus: with a channel, operations and a
//! message whose payload is the same and whose headers are the broker's.

mod headers;
mod nats;
mod rabbit;

use contracts::{
    Event, Recorded,
    events::{CATALOGUE, Contract},
    schema,
};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use self::{nats::Nats, rabbit::Rabbit};
use crate::message;

/// What a document is made of.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// The service's name: the events' `serviceId`.
    pub name: &'a str,
    /// One sentence about it.
    pub about: &'a str,
    /// Its consumers and the event types that each of them wants; none means all.
    pub consumers: &'a [(&'a str, &'a [&'a str])],
}

/// When and where the documents' examples happened.
const EXAMPLE_TIME: i64 = 1_767_225_600;
const EXAMPLE_ID: Uuid = Uuid::from_u128(0x0193_7e00_0000_7000_8000_0000_0000_00ff);
const EXAMPLE_TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// How events travel over one broker.
trait Carrier {
    /// The broker's name in a document.
    const SERVER: &'static str;
    /// What the ids of its channels, operations and messages begin with.
    const PREFIX: &'static str;
    /// The name of the headers' schema.
    const HEADERS: &'static str;

    fn server() -> Value;
    fn address(event_type: &str) -> String;
    fn channel_bindings() -> Option<Value> {
        None
    }
    fn operation_bindings(_action: &str) -> Option<Value> {
        None
    }
    /// The schema of the headers.
    fn headers() -> Value;
    /// The headers of an event.
    fn written(recorded: &Recorded) -> Map<String, Value>;
}

/// One event type that the service sends, or that a consumer of it receives.
struct Told {
    contract: &'static Contract,
    action: &'static str,
    /// The operation's id, but for the broker.
    id: String,
    summary: String,
}

/// The parts of a document that differ by broker.
#[derive(Default)]
struct Parts {
    servers: Map<String, Value>,
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
    schemas: Map<String, Value>,
}

/// The AsyncAPI 3 document of a service: the events that it sends and those that it receives, over
/// each broker that can be the bus.
#[must_use]
pub fn document(service: Described<'_>) -> Value {
    let told = told(service);
    let mut parts = Parts::default();
    parts
        .schemas
        .insert("Envelope".to_owned(), schema::envelope().schema);
    for Told { contract, .. } in &told {
        let shape = contract.shape();
        parts.schemas.insert(contract.name.to_owned(), shape.schema);
        parts.schemas.extend(shape.definitions);
        parts
            .schemas
            .insert(contract.versioned_name(), body(contract));
    }
    parts.add::<Nats>(&told);
    parts.add::<Rabbit>(&told);
    json!({
        "asyncapi": "3.0.0",
        "id": format!("urn:banyan:service:{}", service.name),
        "info": {
            "title": service.name,
            "version": env!("CARGO_PKG_VERSION"),
            "description": service.about,
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": parts.servers,
        "channels": parts.channels,
        "operations": parts.operations,
        "components": {
            "messages": parts.messages,
            "schemas": parts.schemas,
            "correlationIds": { "chain": {
                "description": "What the whole chain of causes goes back to: one click, one id.",
                "location": "$message.payload#/correlationId",
            } },
        },
    })
}

/// What the service sends by the catalogue, and what its consumers want.
fn told(service: Described<'_>) -> Vec<Told> {
    let sends = CATALOGUE
        .iter()
        .filter(|contract| contract.senders.contains(&service.name));
    let mut told: Vec<_> = sends
        .map(|contract| Told {
            contract,
            action: "send",
            id: format!("send.{}", contract.event_type),
            summary: "Written to the log, which forwards it.".to_owned(),
        })
        .collect();
    for (consumer, types) in service.consumers {
        let wants = |contract: &&Contract| types.is_empty() || types.contains(&contract.event_type);
        told.extend(CATALOGUE.iter().filter(wants).map(|contract| Told {
            contract,
            action: "receive",
            id: format!("receive.{consumer}.{}", contract.event_type),
            summary: format!("By the consumer `{consumer}`."),
        }));
    }
    told
}

impl Parts {
    /// Describes how all of it travels over a broker.
    fn add<C: Carrier>(&mut self, told: &[Told]) {
        self.servers.insert(C::SERVER.to_owned(), C::server());
        self.schemas.insert(C::HEADERS.to_owned(), C::headers());
        for Told {
            contract,
            action,
            id,
            summary,
        } in told
        {
            let named = |name: &str| format!("{}{name}", C::PREFIX);
            let channel = named(contract.event_type);
            let message = named(&contract.versioned_name());
            let mut operation = json!({
                "action": action,
                "channel": { "$ref": format!("#/channels/{channel}") },
                "summary": summary,
                "messages": [{ "$ref": format!("#/channels/{channel}/messages/{message}") }],
            });
            if let Some(bindings) = C::operation_bindings(action) {
                operation["bindings"] = bindings;
            }
            self.operations.insert(named(id), operation);
            self.channels
                .insert(channel, channel_of::<C>(contract, &message));
            self.messages.insert(message, message_of::<C>(contract));
        }
    }
}

fn channel_of<C: Carrier>(contract: &Contract, message: &str) -> Value {
    let mut messages = Map::new();
    let reference = format!("#/components/messages/{message}");
    messages.insert(message.to_owned(), json!({ "$ref": reference }));
    let mut channel = json!({
        "address": C::address(contract.event_type),
        "description": contract.shape().schema["description"],
        "servers": [{ "$ref": format!("#/servers/{}", C::SERVER) }],
        "messages": messages,
    });
    if let Some(bindings) = C::channel_bindings() {
        channel["bindings"] = bindings;
    }
    channel
}

fn message_of<C: Carrier>(contract: &Contract) -> Value {
    let examples = schema::examples(contract).into_iter();
    let examples = examples.filter_map(|(name, payload)| {
        let recorded = example(contract, payload);
        let body: Value = serde_json::from_slice(&message::body(&recorded).ok()?).ok()?;
        Some(json!({ "name": name, "headers": C::written(&recorded), "payload": body }))
    });
    let schema = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    json!({
        "name": contract.event_type,
        "title": contract.versioned_name(),
        "summary": contract.shape().schema["description"],
        "contentType": "application/json",
        "headers": schema(C::HEADERS),
        "payload": schema(&contract.versioned_name()),
        "correlationId": { "$ref": "#/components/correlationIds/chain" },
        "examples": examples.collect::<Vec<_>>(),
    })
}

/// The schema of a message's body: the envelope, with the event in it.
fn body(contract: &Contract) -> Value {
    json!({
        "allOf": [
            { "$ref": "#/components/schemas/Envelope" },
            { "type": "object", "properties": {
                "type": { "const": contract.event_type },
                "schemaVersion": { "const": contract.schema_version },
                "payload": { "$ref": format!("#/components/schemas/{}", contract.name) },
            } },
        ]
    })
}

/// An event as its first sender would write it.
fn example(contract: &Contract, payload: Value) -> Recorded {
    let at =
        OffsetDateTime::from_unix_timestamp(EXAMPLE_TIME).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let event = Event {
        id: EXAMPLE_ID,
        event_type: contract.event_type.to_owned(),
        stream: "example-1".to_owned(),
        aggregate_id: "1".to_owned(),
        version: 1,
        schema_version: contract.schema_version,
        payload,
        timestamp: at,
        correlation_id: EXAMPLE_ID,
        causation_id: None,
        saga_id: None,
        step: None,
        service_id: contract
            .senders
            .first()
            .copied()
            .unwrap_or_default()
            .to_owned(),
        traceparent: Some(EXAMPLE_TRACE.to_owned()),
    };
    Recorded {
        epoch: EXAMPLE_ID,
        position: 1,
        recorded_at: Some(at),
        event,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIBED: Described<'static> = Described {
        name: "quiz",
        about: "Answers.",
        consumers: &[("quiz-questions", &["question.created"]), ("quiz-all", &[])],
    };

    #[test]
    fn a_service_sends_what_the_catalogue_says_and_receives_what_its_consumers_want() {
        let document = document(DESCRIBED);
        let operations = document["operations"].as_object().unwrap();
        assert!(operations.contains_key("send.answer.submitted"));
        assert!(!operations.contains_key("send.question.created"));
        assert!(operations.contains_key("receive.quiz-questions.question.created"));
        assert!(!operations.contains_key("receive.quiz-questions.question.updated"));
        let all = operations
            .keys()
            .filter(|id| id.starts_with("receive.quiz-all."));
        assert_eq!(all.count(), CATALOGUE.len());
    }

    #[test]
    fn every_event_is_described_for_nats_and_for_rabbitmq() {
        let document = document(DESCRIBED);
        let channels = document["channels"].as_object().unwrap();
        let operations = document["operations"].as_object().unwrap();
        let of_rabbit = |ids: &Map<String, Value>| {
            let (rabbit, nats): (Vec<_>, Vec<_>) =
                ids.keys().partition(|id| id.starts_with("rabbitmq."));
            let rabbit = rabbit.iter().filter_map(|id| id.strip_prefix("rabbitmq."));
            assert_eq!(rabbit.collect::<Vec<_>>(), nats);
            nats.len()
        };
        assert_eq!(of_rabbit(channels), CATALOGUE.len());
        assert!(of_rabbit(operations) > CATALOGUE.len());
        let nats = &channels["answer.submitted"];
        assert_eq!(nats["address"], "banyan.events.answer.submitted");
        assert_eq!(nats["servers"][0]["$ref"], "#/servers/nats");
        let rabbit = &channels["rabbitmq.answer.submitted"];
        assert_eq!(rabbit["address"], "answer.submitted");
        assert_eq!(rabbit["servers"][0]["$ref"], "#/servers/rabbitmq");
        let exchange = &rabbit["bindings"]["amqp"]["exchange"];
        assert_eq!(
            (&exchange["name"], &exchange["type"]),
            (&json!("banyan.events"), &json!("topic"))
        );
        let sent = &operations["rabbitmq.send.answer.submitted"];
        assert_eq!(
            sent["channel"]["$ref"],
            "#/channels/rabbitmq.answer.submitted"
        );
        assert_eq!(sent["bindings"]["amqp"]["deliveryMode"], 2);
    }

    #[test]
    fn every_reference_of_a_document_leads_somewhere() {
        let document = document(DESCRIBED);
        let text = document.to_string();
        let references: Vec<_> = text
            .split("\"$ref\":\"#")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(references.len() > CATALOGUE.len());
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_header_of_a_message_is_described_and_the_required_ones_are_there() {
        let document = document(DESCRIBED);
        let messages = document["components"]["messages"].as_object().unwrap();
        for message in messages.values() {
            let schema = message["headers"]["$ref"].as_str().unwrap();
            let described = document.pointer(schema.trim_start_matches('#')).unwrap();
            for example in message["examples"].as_array().unwrap() {
                let written = example["headers"].as_object().unwrap();
                for name in written.keys() {
                    assert!(described["properties"][name].is_object(), "{name}");
                }
                for name in described["required"].as_array().unwrap() {
                    assert!(written.contains_key(name.as_str().unwrap()), "{name}");
                }
            }
        }
    }
}
