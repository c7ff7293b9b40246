//! achievement

pub mod domain;
