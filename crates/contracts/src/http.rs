//! Bodies of the public API, the same on legacy and on the new services. All camelCase.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::events::{BadgeRef, Choice};

/// Declares bodies that only go out.
macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $field_type:ty),* $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name { $($(#[$field_doc])* pub $field: $field_type),* }
    )+};
}

/// Declares bodies that come in from outside: an unknown field is an error.
macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $field_type:ty),* $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $field_type),* }
    )+};
}

mod accounts;
mod answers;
mod boards;
mod curation;
mod maintenance;
mod oidc;
mod problem;
mod questions;

pub use accounts::*;
pub use answers::*;
pub use boards::*;
pub use curation::*;
pub use maintenance::*;
pub use oidc::*;
pub use problem::*;
pub use questions::*;

/// A list: `{"items": […]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Items<T> {
    /// The list.
    pub items: Vec<T>,
}
