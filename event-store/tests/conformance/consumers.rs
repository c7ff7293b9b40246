//! Consumers: exactly once, in order, parked and drained, replayed, refused.

mod feeding;
pub(crate) mod handler;
mod life;
mod lines;
mod park;
