//! Personal fields are sealed before their event is written.

use std::collections::HashMap;

use contracts::events::personal::{self, SEALED, Sealed};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Held, PersonalError, key::place};

/// Whose fields they are.
pub(crate) fn subject_of<'a>(
    payload: &'a Value,
    pointer: &str,
    event_type: &str,
) -> Result<&'a str, PersonalError> {
    let subject = payload.pointer(pointer).and_then(Value::as_str);
    let subject = subject.filter(|subject| !subject.is_empty() && !subject.contains('\0'));
    subject.ok_or_else(|| PersonalError::NoSubject(event_type.to_owned()))
}

/// Seals the fields of an event's payload. Those of a person whose key was erased are erased, too; what
/// is absent, or sealed or erased before, stays so.
pub(crate) fn seal(
    event: Uuid,
    payload: &mut Value,
    fields: &[&str],
    subject: &str,
    keys: &HashMap<String, Held>,
) -> Result<(), PersonalError> {
    let held = keys.get(subject).ok_or(PersonalError::NoKeys)?;
    let mut sealed = Vec::new();
    for pointer in fields {
        let Some(field) = payload.pointer_mut(pointer) else {
            continue;
        };
        if field.is_null() || personal::is_erased(field) || personal::sealed_text(field).is_some() {
            continue;
        }
        *field = match held {
            Held::Erased => personal::erased_field(),
            Held::Key(key) => {
                sealed.push((*pointer).to_owned());
                let plain = field.to_string();
                personal::sealed_field(&key.seal(&place(event, subject, pointer), plain.as_bytes()))
            }
        };
    }
    if let (false, Held::Key(key)) = (sealed.is_empty(), held) {
        let marker = Sealed {
            subject: subject.to_owned(),
            key: key.id,
            fields: sealed,
        };
        payload[SEALED] = json!(marker);
    }
    Ok(())
}
