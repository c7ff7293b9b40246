//! The whole service over HTTP on both databases, fed through the log.

mod app;
mod pages;
mod periods;
mod players;
mod stream;
mod upkeep;
