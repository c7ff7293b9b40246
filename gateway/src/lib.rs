//! Banyan's gateway: the strangler proxy in front of a monolith.
//!
//! It moves traffic, route by route and percent by percent, from a legacy upstream to candidates.
//! It knows no service: everything about the monolith comes from its configuration file.
//!
//! Control plane: [`config`] (the file), [`table`] (who serves a path), [`flag`] (who goes to the
//! candidate), the admin API and the reload of the file.

mod access_log;
pub mod admin;
mod certificate;
pub mod config;
pub mod control;
pub mod flag;
mod forward;
mod grpc;
pub mod headers;
mod hints;
pub mod id;
pub mod identity;
mod limits;
mod load;
mod pace;
pub mod path;
mod proxy;
pub mod reload;
mod rotation;
mod run;
pub mod server;
pub mod stats;
pub mod subject;
pub mod table;
mod tapped;
pub mod trace;
pub mod upstream;

pub use certificate::CertificateError;
pub use config::Config;
pub use id::{FlagId, RouteId, UpstreamId};
pub use run::{Ports, RunError, Running, run};
