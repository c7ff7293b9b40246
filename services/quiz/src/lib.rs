//! quiz

pub mod domain;
