//! x
pub mod domain;
pub mod error;
pub mod hashing;
pub mod keys;
