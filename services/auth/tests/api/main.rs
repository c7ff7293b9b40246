//! The auth service over HTTP, on both databases.

mod accounts;
mod administration;
mod app;
mod leaving;
mod limits;
mod post_office;
mod recovery;
mod refusals;
mod sessions;
mod tokens;
mod upgrading;
mod upkeep;
