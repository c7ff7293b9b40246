//! What a service says of its events: an AsyncAPI 3 document, made from the types of the payloads,
//! the catalogue's senders and the consumers that the service runs.

use contracts::{
    Event, Recorded,
    events::{CATALOGUE, Contract},
    schema,
};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{NatsOptions, message};

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

/// The AsyncAPI 3 document of a service: the events that it sends and those that it receives.
#[must_use]
pub fn document(service: Described<'_>) -> Value {
    let sends: Vec<_> = CATALOGUE
        .iter()
        .filter(|contract| contract.senders.contains(&service.name))
        .collect();
    let mut operations = Map::new();
    let mut told = sends.clone();
    for contract in &sends {
        let id = format!("send.{}", contract.event_type);
        operations.insert(
            id,
            operation("send", contract, "Written to the log, which forwards it."),
        );
    }
    for (consumer, types) in service.consumers {
        let wants = |contract: &&Contract| types.is_empty() || types.contains(&contract.event_type);
        for contract in CATALOGUE.iter().filter(wants) {
            let id = format!("receive.{consumer}.{}", contract.event_type);
            let summary = format!("By the consumer `{consumer}`.");
            operations.insert(id, operation("receive", contract, &summary));
            told.push(contract);
        }
    }
    told.sort_unstable_by_key(|contract| contract.event_type);
    told.dedup_by_key(|contract| contract.event_type);
    let options = NatsOptions::default();
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
        "servers": { "nats": {
            "host": "localhost:4222",
            "protocol": "nats",
            "description": format!(
                "NATS with JetStream. The stream `{}` keeps what is published under `{}.>` for a \
                 while; the log keeps it for ever. Order by `Banyan-Position`, which has no holes \
                 within one `Banyan-Epoch`.",
                options.stream, options.prefix
            ),
        } },
        "channels": channels(&told, &options.prefix),
        "operations": operations,
        "components": components(&told),
    })
}

fn operation(action: &str, contract: &Contract, summary: &str) -> Value {
    let channel = contract.event_type;
    let message = contract.versioned_name();
    json!({
        "action": action,
        "channel": { "$ref": format!("#/channels/{channel}") },
        "summary": summary,
        "messages": [{ "$ref": format!("#/channels/{channel}/messages/{message}") }],
    })
}

fn channels(told: &[&Contract], prefix: &str) -> Map<String, Value> {
    let mut channels = Map::new();
    for contract in told {
        let message = contract.versioned_name();
        let mut messages = Map::new();
        let reference = format!("#/components/messages/{message}");
        messages.insert(message, json!({ "$ref": reference }));
        let channel = json!({
            "address": format!("{prefix}.{}", contract.event_type),
            "description": contract.shape().schema["description"],
            "messages": messages,
        });
        channels.insert(contract.event_type.to_owned(), channel);
    }
    channels
}

fn components(told: &[&Contract]) -> Value {
    let (mut messages, mut schemas) = (Map::new(), Map::new());
    let envelope = schema::envelope();
    schemas.insert("Envelope".to_owned(), envelope.schema);
    schemas.insert("Headers".to_owned(), headers());
    for contract in told {
        messages.insert(contract.versioned_name(), message(contract));
        let shape = contract.shape();
        schemas.insert(contract.name.to_owned(), shape.schema);
        schemas.extend(shape.definitions);
    }
    json!({
        "messages": messages,
        "schemas": schemas,
        "correlationIds": { "chain": {
            "description": "What the whole chain of causes goes back to: one click, one id.",
            "location": "$message.payload#/correlationId",
        } },
    })
}

fn message(contract: &Contract) -> Value {
    let body = json!({
        "allOf": [
            { "$ref": "#/components/schemas/Envelope" },
            { "type": "object", "properties": {
                "type": { "const": contract.event_type },
                "schemaVersion": { "const": contract.schema_version },
                "payload": { "$ref": format!("#/components/schemas/{}", contract.name) },
            } },
        ]
    });
    let examples = schema::examples(contract).into_iter();
    let examples = examples.filter_map(|(name, payload)| {
        let recorded = example(contract, payload);
        let (_, headers, body) = message::encode("", &recorded).ok()?;
        let body: Value = serde_json::from_slice(&body).ok()?;
        let headers = headers.iter().filter_map(|(name, values)| {
            let value = values.first()?;
            Some((name.to_string(), json!(value.as_str())))
        });
        let headers: Map<_, _> = headers.collect();
        Some(json!({ "name": name, "headers": headers, "payload": body }))
    });
    json!({
        "name": contract.event_type,
        "title": contract.versioned_name(),
        "summary": contract.shape().schema["description"],
        "contentType": "application/json",
        "headers": { "$ref": "#/components/schemas/Headers" },
        "payload": body,
        "correlationId": { "$ref": "#/components/correlationIds/chain" },
        "examples": examples.collect::<Vec<_>>(),
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

/// The headers that [`message::encode`] writes.
fn headers() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "description": "What a reader needs that knows NATS and CloudEvents (binary content mode) \
                        but not this project.",
        "required": [
            "Nats-Msg-Id", "Banyan-Epoch", "Banyan-Position", "Content-Type", "ce-specversion",
            "ce-id", "ce-type", "ce-source", "ce-subject",
        ],
        "properties": {
            "Nats-Msg-Id": {
                "type": "string", "format": "uuid",
                "description": "The event's id: JetStream drops what it has seen.",
            },
            "Banyan-Epoch": {
                "type": "string", "format": "uuid",
                "description": "The log's identity; positions of different epochs do not compare.",
            },
            "Banyan-Position": {
                "type": "string", "pattern": "^[1-9][0-9]*$",
                "description": "The place in the log: contiguous from 1, in commit order.",
            },
            "Content-Type": { "type": "string", "const": "application/json" },
            "ce-specversion": { "type": "string", "const": "1.0" },
            "ce-id": { "type": "string", "format": "uuid", "description": "The event's id." },
            "ce-type": text("The event type."),
            "ce-source": text("`/services/{name}` of the service that owns the stream."),
            "ce-subject": text("The aggregate's id."),
            "ce-time": {
                "type": "string", "format": "date-time",
                "description": "When it happened, by the owner's database clock.",
            },
            "traceparent": text("W3C trace context of the work that wrote it, where there is one."),
        },
    })
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
        assert_eq!(
            document["channels"]["answer.submitted"]["address"],
            "banyan.events.answer.submitted"
        );
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
        let described = headers();
        let document = document(DESCRIBED);
        let messages = document["components"]["messages"].as_object().unwrap();
        for message in messages.values() {
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
