//! Fields that name a person, as events carry them: sealed under a key of that person.
//!
//! Invariant: what is stored of such a field is sealed, or was written before fields were sealed. A
//! payload says with [`SEALED`] which fields are sealed and for whom; a reader that has opened them
//! finds the value, or that it was erased, and nothing else.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use utoipa::openapi::{
    RefOr, Schema,
    schema::{AnyOfBuilder, ObjectBuilder, Type},
};
use uuid::Uuid;

/// The payload's member that says which fields are sealed.
pub const SEALED: &str = "$sealed";

/// The one member of a field that is sealed: nonce, text and tag in base64.
const SEALED_FIELD: &str = "sealed";

/// The one member of a field whose key is erased.
const ERASED_FIELD: &str = "erased";

/// A field that names a person, as a reader has it.
#[derive(Clone, PartialEq, Eq)]
pub enum Personal<T> {
    /// The value.
    Known(T),
    /// The person's key was erased: nobody can tell the value any more.
    Erased,
    /// This process has no keys, so it cannot open it: the sealed text.
    Sealed(String),
}

/// A field was not opened, since this process has no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unopened;

impl<T> Personal<T> {
    /// The value, or none where it was erased.
    ///
    /// # Errors
    /// [`Unopened`]: whoever needs the value needs the setting `personal_keys`.
    pub fn opened(self) -> Result<Option<T>, Unopened> {
        match self {
            Self::Known(value) => Ok(Some(value)),
            Self::Erased => Ok(None),
            Self::Sealed(_) => Err(Unopened),
        }
    }
}

impl<T> From<T> for Personal<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl From<&str> for Personal<String> {
    fn from(value: &str) -> Self {
        Self::Known(value.to_owned())
    }
}

/// Never the value: what is printed lands in logs.
impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(_) => "Known(…)",
            Self::Erased => "Erased",
            Self::Sealed(_) => "Sealed(…)",
        })
    }
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a personal field is sealed, and this process has no keys: set `personal_keys`")
    }
}

impl std::error::Error for Unopened {}

impl<T: Serialize> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(value) => value.serialize(serializer),
            Self::Erased => erased_field().serialize(serializer),
            Self::Sealed(text) => sealed_field(text).serialize(serializer),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let field = Value::deserialize(deserializer)?;
        if is_erased(&field) {
            return Ok(Self::Erased);
        }
        if let Some(text) = sealed_text(&field) {
            return Ok(Self::Sealed(text.to_owned()));
        }
        T::deserialize(field)
            .map(Self::Known)
            .map_err(de::Error::custom)
    }
}

/// Which fields of a payload are sealed, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Whom they name.
    pub subject: String,
    /// Which key of the subject.
    pub key: Uuid,
    /// Their JSON pointers.
    pub fields: Vec<String>,
}

impl Sealed {
    /// What a payload says about it; none where nothing is sealed.
    ///
    /// # Errors
    /// When it says so in a shape that nobody knows.
    pub fn of(payload: &Value) -> Result<Option<Self>, serde_json::Error> {
        payload.get(SEALED).map(Self::deserialize).transpose()
    }
}

/// A field in its sealed form.
#[must_use]
pub fn sealed_field(text: &str) -> Value {
    json!({ SEALED_FIELD: text })
}

/// A field that was erased.
#[must_use]
pub fn erased_field() -> Value {
    json!({ ERASED_FIELD: true })
}

/// Whether a field was erased.
#[must_use]
pub fn is_erased(field: &Value) -> bool {
    only(field).is_some_and(|members| members.get(ERASED_FIELD) == Some(&Value::Bool(true)))
}

/// The text of a field in its sealed form.
#[must_use]
pub fn sealed_text(field: &Value) -> Option<&str> {
    only(field)?.get(SEALED_FIELD)?.as_str()
}

fn only(field: &Value) -> Option<&Map<String, Value>> {
    field.as_object().filter(|members| members.len() == 1)
}

/// The schema of a personal text: plain where it is opened or older than sealing, else sealed or
/// erased.
pub(super) fn text_schema() -> RefOr<Schema> {
    let form = |name: &str, member: Type, about: &str| {
        ObjectBuilder::new()
            .description(Some(about))
            .property(name, ObjectBuilder::new().schema_type(member))
            .required(name)
    };
    let sealed = "As stored: sealed under the subject's key, which `$sealed` names.";
    let forms = AnyOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::String))
        .item(form(SEALED_FIELD, Type::String, sealed))
        .item(form(
            ERASED_FIELD,
            Type::Boolean,
            "The subject's key was erased.",
        ));
    RefOr::T(Schema::AnyOf(forms.build()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_personal_field_is_itself_erased_or_sealed_on_the_wire_and_back() {
        let forms = [
            (Personal::Known("Ada".to_owned()), json!("Ada")),
            (Personal::Erased, json!({ "erased": true })),
            (Personal::Sealed("x".to_owned()), json!({ "sealed": "x" })),
        ];
        for (field, wire) in forms {
            assert_eq!(serde_json::to_value(&field).unwrap(), wire);
            let back: Personal<String> = serde_json::from_value(wire).unwrap();
            assert!(back == field);
        }
    }

    #[test]
    fn what_is_neither_is_refused_and_nothing_of_a_value_is_printed() {
        for wrong in [json!(7), json!({ "erased": false }), json!({ "sealed": 7 })] {
            let read: Result<Personal<String>, _> = serde_json::from_value(wrong.clone());
            assert!(read.is_err(), "{wrong}");
        }
        let printed = format!("{:?}", Personal::Known("Ada".to_owned()));
        assert!(!printed.contains("Ada"), "{printed}");
    }

    #[test]
    fn who_has_no_keys_is_told_so_and_who_finds_it_erased_finds_nothing() {
        assert_eq!(Personal::from("Ada").opened(), Ok(Some("Ada".to_owned())));
        assert_eq!(Personal::<String>::Erased.opened(), Ok(None));
        let sealed = Personal::<String>::Sealed("x".to_owned());
        assert_eq!(sealed.opened(), Err(Unopened));
    }
}
