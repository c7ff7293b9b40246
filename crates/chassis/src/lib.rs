//! A process's life: configuration, telemetry, health, the operators' `/ops`, supervision,
//! shutdown, and HTTP answers that say what went wrong.
//!
//! Every service's `main` is [`process::run`]; every service's router goes through
//! [`http::stack`]. Nothing here knows what a service is for.

pub mod config;
pub mod health;
pub mod http;
pub mod identity;
pub mod metrics;
pub mod net;
pub mod ops;
pub mod probe;
pub mod problem;
pub mod process;
pub mod shutdown;
pub mod start;
pub mod tasks;
pub mod telemetry;
pub mod trace;

pub use health::Health;
pub use metrics::Metrics;
pub use problem::Problem;
pub use shutdown::Shutdown;
