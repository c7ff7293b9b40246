//! legacy

pub mod seed;
