//! Events, from a service's transaction to every consumer's.
//!
//! - [`log`]: the shared event store; all events in one total order.
//! - [`outbox`]: a service's events that are not in the log yet, written with its state.
//! - [`relay`]: moves outbox rows into the log.
//! - [`publisher`]: forwards the log to the bus.
//! - [`consumer`]: named readers whose effects happen exactly once; parking, retry, replay.
//! - [`personal`]: fields that name a person are sealed in every event, and can be erased.
//! - [`archive`]: the log in compressed files, and how they are written.
//! - [`retention`]: takes closed ranges out of the database once the files have them.
//! - [`partitions`]: those of the log's table on PostgreSQL, made ahead and dropped once files have them.
//! - [`snapshot`]: an aggregate's state, without reading its stream from the beginning.
//! - [`watch`]: looks at the outbox and at what is parked, for the metrics.
//! - [`blocking`]: who keeps others from writing to the log.
//! - [`ops`]: what an operator sees and does over HTTP.
//! - [`log_process`]: the `log` process of the distributed form.
//!
//! Invariants: an event is in the outbox exactly when the state that it tells of is committed; a
//! consumer's checkpoint moves in the handler's own transaction; the log is the truth and the bus
//! is only fast.

pub mod archive;
pub mod blocking;
pub mod consumer;
mod lease;
pub mod log;
pub mod log_process;
mod metrics;
pub mod ops;
pub mod outbox;
pub mod partitions;
pub mod personal;
pub mod publisher;
pub mod relay;
pub mod retention;
pub mod snapshot;
mod trace;
pub mod watch;

pub use consumer::{Consumers, Handler, HandlerError, Kind, Order};
pub use log::{Append, AppendError, Appended, Expected, Head, Log, LogOptions, ReadQuery};
pub use metrics::{BusMetrics, Metrics};
pub use outbox::{NewEvent, Outbox, derived_id};
pub use personal::MasterKeys;
