//! Payloads of earlier schema versions, led to the newest shape.
//!
//! Invariant: a type's schema version is one more than its upcasters, so a new version cannot be
//! declared without the way from the one before. Stored events never change; whoever reads a payload
//! as its type ([`crate::Event::payload`]) sees the newest shape.

use std::{borrow::Cow, fmt};

use serde_json::Value;

use super::Payload;

/// Leads a payload from one schema version to the next. It must be pure and give the same for ever:
/// what was read by it once is read by it at every replay.
pub type Upcast = fn(Value) -> Result<Value, UpcastError>;

/// Why a payload cannot be led to the newest shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpcastError(String);

impl UpcastError {
    /// With what the payload lacks or has too much.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for UpcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UpcastError {}

/// A payload of `version` in the newest shape of `P`; the newest itself is not copied.
///
/// # Errors
/// When the version is none, or newer than this program, or one of the upcasters refuses the payload.
pub fn newest<P: Payload>(version: i64, payload: &Value) -> Result<Cow<'_, Value>, UpcastError> {
    if version == P::SCHEMA_VERSION {
        return Ok(Cow::Borrowed(payload));
    }
    let (name, known) = (P::TYPE, P::SCHEMA_VERSION);
    let passed = version.checked_sub(1).map(usize::try_from);
    let ahead = passed.and_then(|passed| P::UPCASTS.get(passed.ok()?..));
    let Some(ahead) = ahead else {
        return Err(UpcastError(format!(
            "{name} has the schema versions 1 to {known} here, not {version}: is the sender newer?"
        )));
    };
    let led =
        ahead
            .iter()
            .zip(version..)
            .try_fold(payload.clone(), |payload, (upcast, version)| {
                upcast(payload).map_err(|error| {
                    UpcastError(format!("{name} from schema version {version}: {error}"))
                })
            });
    led.map(Cow::Owned)
}

/// As [`newest`], for the catalogue.
pub(super) fn owned<P: Payload>(version: i64, payload: &Value) -> Result<Value, UpcastError> {
    newest::<P>(version, payload).map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use serde::{Deserialize, Serialize};
    use serde_json::json;
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;
    use crate::{Event, events::CATALOGUE};

    /// Was `{"count": "3"}`, then `{"count": 3}`, and is `{"total": 3}`.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Counted {
        total: i64,
    }

    impl Payload for Counted {
        const TYPE: &'static str = "test.counted";
        const UPCASTS: &'static [Upcast] = &[numbered, renamed];
        const PERSONAL: &'static [&'static str] = &[];
    }

    fn numbered(mut payload: Value) -> Result<Value, UpcastError> {
        let count = payload["count"].as_str().and_then(|text| text.parse().ok());
        let count: i64 = count.ok_or_else(|| UpcastError::new("count is no number"))?;
        payload["count"] = json!(count);
        Ok(payload)
    }

    fn renamed(mut payload: Value) -> Result<Value, UpcastError> {
        Ok(json!({ "total": payload["count"].take() }))
    }

    fn event(schema_version: i64, payload: Value) -> Event {
        Event {
            id: Uuid::nil(),
            event_type: Counted::TYPE.to_owned(),
            stream: "a".to_owned(),
            aggregate_id: "a".to_owned(),
            version: 1,
            schema_version,
            payload,
            timestamp: OffsetDateTime::UNIX_EPOCH,
            correlation_id: Uuid::nil(),
            causation_id: None,
            saga_id: None,
            step: None,
            service_id: "test".to_owned(),
            traceparent: None,
        }
    }

    #[test]
    fn a_payload_of_any_version_is_read_in_the_newest_shape() {
        assert_eq!(Counted::SCHEMA_VERSION, 3);
        for (version, payload) in [
            (1, json!({ "count": "3" })),
            (2, json!({ "count": 3 })),
            (3, json!({ "total": 3 })),
        ] {
            let stored = event(version, payload);
            let before = stored.clone();
            assert_eq!(stored.payload::<Counted>().unwrap(), Counted { total: 3 });
            assert_eq!(stored, before);
        }
    }

    #[test]
    fn what_no_version_explains_is_refused_and_says_why() {
        for (version, payload, why) in [
            (4, json!({ "total": 3 }), "is the sender newer"),
            (0, json!({ "total": 3 }), "1 to 3"),
            (-1, json!({ "total": 3 }), "1 to 3"),
            (i64::MIN, json!({}), "1 to 3"),
            (
                1,
                json!({ "count": "three" }),
                "from schema version 1: count is no number",
            ),
            (1, json!({ "count": 3 }), "from schema version 1"),
            (2, json!({ "total": 3 }), "invalid type: null"),
            (3, json!({ "count": 3 }), "unknown field"),
        ] {
            let error = event(version, payload).payload::<Counted>().unwrap_err();
            assert!(error.to_string().contains(why), "{version}: {error}");
        }
    }

    /// Refuses a new version whose upcaster does not lead what was committed to it.
    #[test]
    fn the_examples_of_every_committed_schema_version_are_read_in_the_newest_shape() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events/schemas");
        for contract in CATALOGUE {
            for version in 1..=contract.schema_version {
                let name = format!("{}.v{version}.json", contract.event_type);
                let text = fs::read_to_string(folder.join(&name))
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
                let schema: Value = serde_json::from_str(&text).unwrap();
                let examples = schema["examples"].as_array().unwrap();
                assert!(!examples.is_empty(), "{name} has examples");
                for example in examples {
                    let newest = contract.upcast(version, example).unwrap();
                    assert!(contract.reads(&newest), "{name}: {newest}");
                }
            }
        }
    }
}
