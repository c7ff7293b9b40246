//! The headers that a message has over every broker.

use serde_json::{Map, Value, json};

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

/// Their schemas by their names: ours, and CloudEvents' with the prefix of the broker's binding.
pub(super) fn common(cloud_events: &str) -> Map<String, Value> {
    let mut headers = Map::new();
    for (name, schema) in [
        (
            "Banyan-Epoch",
            json!({
                "type": "string", "format": "uuid",
                "description": "The log's identity; positions of different epochs do not compare.",
            }),
        ),
        (
            "Banyan-Position",
            json!({
                "type": "string", "pattern": "^[1-9][0-9]*$",
                "description": "The place in the log: contiguous from 1, in commit order.",
            }),
        ),
    ] {
        headers.insert(name.to_owned(), schema);
    }
    for (attribute, schema) in [
        ("specversion", json!({ "type": "string", "const": "1.0" })),
        (
            "id",
            json!({ "type": "string", "format": "uuid", "description": "The event's id." }),
        ),
        ("type", text("The event type.")),
        (
            "source",
            text("`/services/{name}` of the service that owns the stream."),
        ),
        ("subject", text("The aggregate's id.")),
        (
            "time",
            json!({
                "type": "string", "format": "date-time",
                "description": "When it happened, by the owner's database clock.",
            }),
        ),
    ] {
        headers.insert(format!("{cloud_events}{attribute}"), schema);
    }
    let trace = "W3C trace context of the work that wrote it, where there is one.";
    headers.insert("traceparent".to_owned(), text(trace));
    headers
}
