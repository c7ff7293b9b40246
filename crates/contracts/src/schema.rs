//! The shapes of events as JSON Schema (2020-12), made from the types: what a service in any
//! language reads, and what the compatibility of two versions is judged by.
//!
//! A shape lists what a reader may rely on and is open: a reader passes over fields that it does
//! not know. That is what makes adding a field compatible.

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::{
    Event, Recorded,
    events::{Contract, Payload, personal::SEALED},
};

/// The dialect of the schemas.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The mark of a field that names a person.
pub const PERSONAL: &str = "x-personal";

/// Where utoipa's references point.
const COMPONENTS: &str = "#/components/schemas/";

/// The version of the envelope's shape.
const ENVELOPE_VERSION: i64 = 1;

/// A type's schema and those that it refers to, which it names `#/components/schemas/{name}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The type's own schema.
    pub schema: Value,
    /// What it refers to, by name.
    pub definitions: Map<String, Value>,
}

/// The shape of a payload, its personal fields marked.
pub fn payload<P: Payload + ToSchema>() -> Shape {
    let mut shape = of::<P>();
    for pointer in P::PERSONAL {
        mark_personal(&mut shape.schema, pointer);
    }
    if !P::PERSONAL.is_empty()
        && let Some(properties) = shape.schema["properties"].as_object_mut()
    {
        properties.insert(SEALED.to_owned(), sealed());
    }
    shape
}

/// The shape of an event with its place in the log: the body of a message on the bus.
#[must_use]
pub fn envelope() -> Shape {
    let mut shape = of::<Event>();
    let placed = of::<Recorded>().schema;
    // utoipa writes a flattened field as one alternative of `allOf`; readers get one flat object.
    let own = placed["allOf"].as_array().and_then(|parts| {
        let mut parts = parts.iter();
        parts.find(|part| {
            part.get("properties")
                .is_some_and(|all| all["epoch"].is_object())
        })
    });
    if let Some(own) = own {
        merge(&mut shape.schema, own);
    }
    shape.schema["description"] = placed["description"].clone();
    shape
}

/// A payload's shape as a document of its own, with examples.
#[must_use]
pub fn payload_document(contract: &Contract) -> Value {
    let Shape {
        schema,
        definitions,
    } = contract.shape();
    let id = format!(
        "urn:banyan:event:{}:{}",
        contract.event_type, contract.schema_version
    );
    let title = contract.versioned_name();
    let examples = examples(contract);
    let examples: Vec<_> = examples.into_iter().map(|(_, example)| example).collect();
    document(&id, &title, schema, definitions, &examples)
}

/// The envelope's shape as a document of its own.
#[must_use]
pub fn envelope_document() -> Value {
    let Shape {
        schema,
        definitions,
    } = envelope();
    let id = format!("urn:banyan:envelope:{ENVELOPE_VERSION}");
    let title = format!("envelope.v{ENVELOPE_VERSION}");
    document(&id, &title, schema, definitions, &[])
}

/// Payloads to try a reader with: `minimal`, with what every reader may rely on, and `full`, with
/// all fields; one alone where they are the same.
#[must_use]
pub fn examples(contract: &Contract) -> Vec<(&'static str, Value)> {
    let full = contract.example();
    let schema = contract.shape().schema;
    let required = |name: &String| {
        let names = schema["required"].as_array();
        names.is_some_and(|names| names.iter().any(|required| required == name))
    };
    let mut minimal = full.clone();
    if let Some(fields) = minimal.as_object_mut() {
        fields.retain(|name, _| required(name));
    }
    if minimal == full {
        vec![("full", full)]
    } else {
        vec![("minimal", minimal), ("full", full)]
    }
}

fn of<T: ToSchema>() -> Shape {
    let mut found = Vec::new();
    T::schemas(&mut found);
    let definitions = found
        .into_iter()
        .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default()))
        .collect();
    let schema = serde_json::to_value(<T as PartialSchema>::schema()).unwrap_or_default();
    Shape {
        schema,
        definitions,
    }
}

fn document(
    id: &str,
    title: &str,
    mut schema: Value,
    definitions: Map<String, Value>,
    examples: &[Value],
) -> Value {
    schema["$schema"] = json!(DIALECT);
    schema["$id"] = json!(id);
    schema["title"] = json!(title);
    if !definitions.is_empty() {
        schema["$defs"] = Value::Object(definitions);
    }
    refer(&mut schema, "#/$defs/");
    if !examples.is_empty() {
        schema["examples"] = json!(examples);
    }
    schema
}

/// Lets every reference point below `place` instead of where utoipa keeps schemas.
fn refer(schema: &mut Value, place: &str) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get_mut("$ref")
                && let Some(name) = target.strip_prefix(COMPONENTS)
            {
                *target = format!("{place}{name}");
            }
            members.values_mut().for_each(|member| refer(member, place));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, place)),
        _ => {}
    }
}

/// What a stored payload says of its sealed fields.
fn sealed() -> Value {
    json!({
        "type": "object",
        "description": "As stored: which fields are sealed, and for whom. Absent where none is.",
        "required": ["subject", "key", "fields"],
        "properties": {
            "subject": { "type": "string", "description": "Whom they name." },
            "key": { "type": "string", "format": "uuid", "description": "Which of their keys." },
            "fields": {
                "type": "array", "description": "JSON pointers.", "items": { "type": "string" },
            },
        },
    })
}

/// Marks the property that the pointer leads to in an instance.
fn mark_personal(schema: &mut Value, pointer: &str) {
    let path: String = pointer
        .split('/')
        .skip(1)
        .map(|name| format!("/properties/{name}"))
        .collect();
    if let Some(Value::Object(property)) = schema.pointer_mut(&path) {
        property.insert(PERSONAL.to_owned(), json!(true));
    }
}

/// Adds an object schema's properties and required names to another's.
fn merge(schema: &mut Value, more: &Value) {
    if let (Some(all), Some(own)) = (
        schema["properties"].as_object_mut(),
        more["properties"].as_object(),
    ) {
        all.extend(own.clone());
    }
    if let (Some(all), Some(own)) = (
        schema["required"].as_array_mut(),
        more["required"].as_array(),
    ) {
        all.extend(own.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::CATALOGUE;

    fn schema(event_type: &str) -> Value {
        payload_document(crate::events::contract(event_type).unwrap())
    }

    #[test]
    fn a_field_that_names_a_person_is_marked() {
        assert_eq!(
            schema("user.created")["properties"]["displayName"][PERSONAL],
            true
        );
        for contract in CATALOGUE {
            let marked = contract
                .shape()
                .schema
                .to_string()
                .matches(PERSONAL)
                .count();
            assert_eq!(marked, contract.personal.len(), "{}", contract.event_type);
        }
    }

    #[test]
    fn a_field_that_may_be_missing_is_not_required_and_one_that_may_be_null_says_so() {
        let created = schema("question.created");
        let required = created["required"].as_array().unwrap();
        assert!(!required.contains(&json!("tags")), "{required:?}");
        assert!(required.contains(&json!("correctChoiceId")), "{required:?}");
        let done = schema("maintenance.done");
        assert_eq!(
            done["properties"]["error"]["type"],
            json!(["string", "null"])
        );
    }

    #[test]
    fn every_reference_leads_into_the_document() {
        for contract in CATALOGUE {
            let document = payload_document(contract);
            let mut found = Vec::new();
            references(&document, &mut found);
            for target in found {
                let pointer = target.strip_prefix('#').unwrap();
                assert!(
                    document.pointer(pointer).is_some(),
                    "{}: {target}",
                    contract.event_type
                );
            }
        }
        assert!(
            schema("question.created")
                .to_string()
                .contains("#/$defs/Choice")
        );
    }

    fn references(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(members) => {
                found.extend(
                    members
                        .get("$ref")
                        .and_then(Value::as_str)
                        .map(String::from),
                );
                members
                    .values()
                    .for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn the_envelope_is_one_flat_object_with_the_place_in_the_log() {
        let envelope = envelope_document();
        for name in [
            "epoch",
            "position",
            "id",
            "type",
            "schemaVersion",
            "timestamp",
            "payload",
        ] {
            let required = envelope["required"].as_array().unwrap();
            assert!(required.contains(&json!(name)), "{name}: {required:?}");
            assert!(envelope["properties"][name].is_object(), "{name}");
        }
        assert_eq!(envelope["properties"]["timestamp"]["format"], "date-time");
        let required = envelope["required"].as_array().unwrap();
        assert!(!required.contains(&json!("sagaId")));
    }

    #[test]
    fn the_type_reads_its_examples_whatever_is_added_to_them() {
        for contract in CATALOGUE {
            for (name, example) in examples(contract) {
                let mut more = example.clone();
                more["addedLater"] = json!({ "by": "a newer sender" });
                for payload in [example, more] {
                    assert!(
                        contract.reads(&payload),
                        "{} {name}: {payload}",
                        contract.event_type
                    );
                }
            }
        }
    }
}
