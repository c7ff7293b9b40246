//! question

pub mod domain;
