//! The maintenance service: its runs on both databases, alone, with a second replica, and over HTTP.

mod app;
mod archiving;
mod asking;
mod bounding;
mod replica;
mod replicas;
mod reporting;
mod running;
