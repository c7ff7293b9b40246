//! Every event's payload, its type's name, its schema version and who sends it.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::schema;

/// A payload that names its event type.
pub trait Payload: Serialize + DeserializeOwned {
    /// The event type on the wire.
    const TYPE: &'static str;
    /// The ways from each earlier version of the shape to the next, the oldest first.
    const UPCASTS: &'static [Upcast] = &[];
    /// The current version of the shape.
    const SCHEMA_VERSION: i64 = 1 + Self::UPCASTS.len() as i64;
    /// JSON pointers of fields that name a person; each is a [`Personal`].
    const PERSONAL: &'static [&'static str];
    /// JSON pointer of the id of that person, where there are such fields: a text.
    const SUBJECT: &'static str = "";
}

/// Stands for whoever is no service of ours: a program of the operators, a foreign service.
pub const OUTSIDE: &str = "outside";

/// What is known of an event type, for catalogues and checks.
#[derive(Clone, Copy, Debug)]
pub struct Contract {
    /// The event type on the wire.
    pub event_type: &'static str,
    /// The name of the payload's type.
    pub name: &'static str,
    /// The current version of the shape.
    pub schema_version: i64,
    /// JSON pointers of fields that name a person.
    pub personal: &'static [&'static str],
    /// JSON pointer of the id of that person; empty where there are none.
    pub subject: &'static str,
    /// The services that write it, or [`OUTSIDE`].
    pub senders: &'static [&'static str],
    shape: fn() -> schema::Shape,
    example: fn() -> Value,
    reads: fn(&Value) -> bool,
    upcast: fn(i64, &Value) -> Result<Value, UpcastError>,
}

impl Contract {
    /// `answer.submitted.v1`: the name of the payload's shape in files and documents.
    #[must_use]
    pub fn versioned_name(&self) -> String {
        format!("{}.v{}", self.event_type, self.schema_version)
    }

    /// The payload's shape.
    #[must_use]
    pub fn shape(&self) -> schema::Shape {
        (self.shape)()
    }

    /// A payload with all of its fields.
    #[must_use]
    pub fn example(&self) -> Value {
        (self.example)()
    }

    /// A payload of an earlier version in the newest shape.
    ///
    /// # Errors
    /// As [`upcast::newest`].
    pub fn upcast(&self, version: i64, payload: &Value) -> Result<Value, UpcastError> {
        (self.upcast)(version, payload)
    }

    /// Whether the payload's type reads this.
    #[must_use]
    pub fn reads(&self, payload: &Value) -> bool {
        (self.reads)(payload)
    }
}

/// What is known of the event type `name`.
#[must_use]
pub fn contract(name: &str) -> Option<&'static Contract> {
    CATALOGUE
        .iter()
        .find(|contract| contract.event_type == name)
}

/// Whether `service` may send the event type: it is among the type's senders. Who sends nothing of
/// this project is none of its services and sends what it likes.
#[must_use]
pub fn may_send(service: &str, event_type: &str) -> bool {
    let sends = |contract: &Contract| contract.senders.contains(&service);
    contract(event_type).is_some_and(sends) || !CATALOGUE.iter().any(sends)
}

/// Declares payload structs with their type names and senders, and the catalogue of all of them. A new
/// schema version is one more function in `upcast [v1_to_v2, …]`.
macro_rules! payloads {
    ($(
        $(#[$doc:meta])*
        $name:ident = $event_type:literal, from $senders:tt
            $(, upcast $upcasts:tt)? $(, personal $personal:tt of $subject:literal)? {
            $($(#[$field_doc:meta])* $field:ident: $field_type:ty),* $(,)?
        }
    )+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
            #[serde(rename_all = "camelCase")]
            pub struct $name { $($(#[$field_doc])* pub $field: $field_type),* }

            impl Payload for $name {
                const TYPE: &'static str = $event_type;
                const UPCASTS: &'static [Upcast] = payloads!(@list $($upcasts)?);
                const PERSONAL: &'static [&'static str] = payloads!(@list $($personal)?);
                $(const SUBJECT: &'static str = $subject;)?
            }
        )+

        /// Every event type of this project.
        pub const CATALOGUE: &[Contract] = &[$(Contract {
            event_type: $name::TYPE,
            name: stringify!($name),
            schema_version: $name::SCHEMA_VERSION,
            personal: $name::PERSONAL,
            subject: $name::SUBJECT,
            senders: &$senders,
            shape: crate::schema::payload::<$name>,
            example: super::examples::example::<$name>,
            reads: super::examples::reads::<$name>,
            upcast: super::upcast::owned::<$name>,
        }),+];
    };
    (@list) => { &[] };
    (@list $list:tt) => { &$list };
}

mod declared;
mod examples;
pub mod personal;
pub mod upcast;

pub use declared::*;
pub use personal::{Personal, Unopened};
pub use upcast::{Upcast, UpcastError};

/// A badge as events and answers name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BadgeRef {
    /// The badge's stable id.
    pub id: String,
    /// What players read.
    pub name: String,
}

/// One of a question's choices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Choice {
    /// Unique within its question.
    #[schema(max_length = 40, pattern = "^[A-Za-z0-9_-]+$")]
    pub id: String,
    /// What players read: 1 to 200 characters between its first and last that are no space.
    #[schema(
        pattern = "^[ \\n]*[^ \\u0000-\\u001f\\u007f-\\u009f](?:[^\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f]{0,198}[^ \\u0000-\\u001f\\u007f-\\u009f])?[ \\n]*$"
    )]
    pub text: String,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_type_is_declared_once_and_in_the_dotted_form() {
        let mut names: Vec<_> = CATALOGUE
            .iter()
            .map(|contract| contract.event_type)
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for name in names {
            assert!(name.contains('.'), "{name}");
            assert!(
                name.chars()
                    .all(|c| c.is_ascii_lowercase() || c == '.' || c == '_'),
                "{name}"
            );
        }
    }

    #[test]
    fn who_is_named_by_a_personal_field_is_told_by_the_payload() {
        for contract in CATALOGUE {
            let subject = contract.example().pointer(contract.subject).cloned();
            let is_text = subject.is_some_and(|subject| subject.is_string());
            assert_eq!(
                is_text,
                !contract.personal.is_empty(),
                "{}",
                contract.event_type
            );
        }
    }

    #[test]
    fn payloads_are_camel_case_on_the_wire() {
        let json = serde_json::to_value(QuestionDeleted {
            question_id: Uuid::nil(),
            version: 1,
        })
        .unwrap();
        assert_eq!(json["questionId"], Uuid::nil().to_string());
    }
}
