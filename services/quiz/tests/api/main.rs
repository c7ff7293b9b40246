//! The quiz service over HTTP on both databases, with the participants' part played by the test:
//! what it refuses, what is left of users who leave, and what begins again.

mod app;
mod departed;
mod refused;
mod reset;
mod retention;
