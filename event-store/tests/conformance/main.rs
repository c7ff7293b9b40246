//! One suite over both databases: what DESIGN.md's "Life of an event" promises.

mod consumers;
mod fixture;
mod log_append;
mod log_order;
mod log_read;
mod publishing;
mod relaying;
