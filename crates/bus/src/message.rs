//! An event as a NATS message: the envelope as JSON body, and in the headers what a reader needs
//! that knows NATS and CloudEvents (binary content mode) but not this project.

use async_nats::HeaderMap;
use contracts::Recorded;

use crate::BusError;

/// `(subject, headers, body)` of an event under a subject prefix.
pub(crate) fn encode(
    prefix: &str,
    recorded: &Recorded,
) -> Result<(String, HeaderMap, Vec<u8>), BusError> {
    let event = &recorded.event;
    let body = serde_json::to_vec(recorded)
        .map_err(|error| BusError::Refused(format!("event {}: {error}", event.id)))?;
    let id = event.id.to_string();
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", id.as_str());
    headers.insert("Banyan-Epoch", recorded.epoch.to_string());
    headers.insert("Banyan-Position", recorded.position.to_string());
    headers.insert("Content-Type", "application/json");
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-id", id.as_str());
    headers.insert("ce-type", event.event_type.as_str());
    headers.insert(
        "ce-source",
        format!("/services/{}", token(&event.service_id)),
    );
    headers.insert("ce-subject", header_value(&event.aggregate_id));
    if let Ok(time) = event
        .timestamp
        .format(&time::format_description::well_known::Rfc3339)
    {
        headers.insert("ce-time", time);
    }
    if let Some(traceparent) = &event.traceparent {
        headers.insert("traceparent", header_value(traceparent));
    }
    Ok((
        format!("{prefix}.{}", token(&event.event_type)),
        headers,
        body,
    ))
}

/// The event in a message's body.
pub(crate) fn decode(body: &[u8]) -> Result<Recorded, serde_json::Error> {
    serde_json::from_slice(body)
}

/// What NATS accepts inside a subject: no spaces, wildcards or empty tokens.
fn token(text: &str) -> String {
    text.split('.')
        .map(|part| {
            let clean: String = part
                .chars()
                .map(|c| {
                    if c.is_ascii_graphic() && !matches!(c, '*' | '>') {
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
fn header_value(text: &str) -> String {
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
        assert_eq!(token("a.*.>..b c"), "a._._._.b_c");
    }
}
