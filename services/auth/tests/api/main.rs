//! The auth service over HTTP, on both databases.

mod accounts;
mod app;
mod refusals;
mod tokens;
