//! Consumers: exactly once, in order, parked and drained, replayed, refused, by one replica at a time.

mod beside;
mod feeding;
pub(crate) mod handler;
mod life;
mod lines;
mod park;
mod replaying;
mod sharing;
pub(crate) mod splitting;
mod standing_by;
mod upcasting;
