//! One suite over both databases: what DESIGN.md's "Life of an event" promises.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by it, also in the bodies that run on both databases"
)]

mod archiving;
mod blocking;
mod consumers;
mod deferring;
mod fixture;
mod log_alike;
mod log_append;
mod log_order;
mod log_read;
mod log_tail;
mod log_times;
mod marking;
mod measured;
mod operating;
mod outage;
mod partitions;
mod personal;
mod publishing;
mod relaying;
mod restoring;
mod snapshots;
