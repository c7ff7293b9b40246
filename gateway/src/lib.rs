//! Banyan's gateway: the strangler proxy in front of a monolith.
//!
//! It moves traffic, route by route and percent by percent, from a legacy upstream to candidates.
//! It knows no service: everything about the monolith comes from its configuration file.
//!
//! Control plane: [`config`] (the file), [`table`] (who serves a path), [`flag`] (who goes to the
//! candidate), the admin API and the reload of the file.

pub mod config;
pub mod flag;
pub mod id;
pub mod table;

pub use config::Config;
pub use id::{FlagId, RouteId, UpstreamId};
