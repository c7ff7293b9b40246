//! Wire types, and nothing else: the event envelope, every event's payload, and the HTTP bodies
//! that legacy and the services share. Knows no other crate of this workspace.
//!
//! Invariant: a payload carries ids and what its consumers need, never an e-mail address, a
//! password or its hash, or a token. Fields that name a person are listed in
//! [`events::Payload::PERSONAL`]; they are sealed wherever the event goes ([`events::personal`]).

pub mod audit;
pub mod claims;
pub mod envelope;
pub mod events;
pub mod http;
mod quiz;
pub mod schema;

pub use claims::Claims;
pub use envelope::{Event, Recorded};
pub use events::Payload;
pub use quiz::{Difficulty, Period, QuizMode, UnknownName};
