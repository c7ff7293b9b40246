//! An event as a message: the envelope as JSON body, and in the headers what a reader needs that
//! knows the broker and CloudEvents (binary content mode) but not this project.

use async_nats::HeaderMap;
use contracts::{Event, Recorded};

use crate::BusError;

/// What CloudEvents says of an event, each attribute by its name.
pub(crate) fn attributes(event: &Event) -> Vec<(&'static str, String)> {
    let mut attributes = vec![
        ("specversion", "1.0".to_owned()),
        ("id", event.id.to_string()),
        ("type", event.event_type.clone()),
        ("source", format!("/services/{}", token(&event.service_id))),
        ("subject", header_value(&event.aggregate_id)),
    ];
    let time = event
        .timestamp
        .format(&time::format_description::well_known::Rfc3339);
    attributes.extend(time.ok().map(|time| ("time", time)));
    attributes
}

/// The envelope as a message's body.
pub(crate) fn body(recorded: &Recorded) -> Result<Vec<u8>, BusError> {
    let id = recorded.event.id;
    serde_json::to_vec(recorded).map_err(|error| BusError::Refused(format!("event {id}: {error}")))
}

/// `(subject, headers, body)` of an event under a subject prefix, for NATS.
pub(crate) fn encode(
    prefix: &str,
    recorded: &Recorded,
) -> Result<(String, HeaderMap, Vec<u8>), BusError> {
    let event = &recorded.event;
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", event.id.to_string());
    headers.insert("Banyan-Epoch", recorded.epoch.to_string());
    headers.insert("Banyan-Position", recorded.position.to_string());
    headers.insert("Content-Type", "application/json");
    for (name, value) in attributes(event) {
        headers.insert(format!("ce-{name}"), value);
    }
    if let Some(traceparent) = &event.traceparent {
        headers.insert("traceparent", header_value(traceparent));
    }
    Ok((
        format!("{prefix}.{}", token(&event.event_type)),
        headers,
        body(recorded)?,
    ))
}

/// The event in a message's body.
pub(crate) fn decode(body: &[u8]) -> Result<Recorded, serde_json::Error> {
    serde_json::from_slice(body)
}

/// What a broker accepts inside a subject: no spaces, wildcards or empty tokens.
pub(crate) fn token(text: &str) -> String {
    text.split('.')
        .map(|part| {
            let clean: String = part
                .chars()
                .map(|c| {
                    if c.is_ascii_graphic() && !matches!(c, '*' | '>' | '#') {
                        c
                    } else {
                        '_'
                    }
                })
                .collect();
            if clean.is_empty() {
                "_".to_owned()
            } else {
                clean
            }
        })
        .collect::<Vec<_>>()
        .join(".")
}

/// Header values are one line.
pub(crate) fn header_value(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_the_type_and_never_holds_a_wildcard() {
        assert_eq!(token("answer.submitted"), "answer.submitted");
        assert_eq!(token("a.*.>..b c.#"), "a._._._.b_c._");
    }
}
