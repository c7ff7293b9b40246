//! leaderboard

pub mod domain;
