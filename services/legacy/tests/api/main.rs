//! The monolith over HTTP on both databases, alone and beside the services that replace it.

mod accounts;
mod accounts_ending;
mod accounts_managed;
mod accounts_recovered;
mod app;
mod audit;
mod boards;
mod counting;
mod curating;
mod importing;
mod maintaining;
mod playing;
#[path = "../../../auth/tests/api/post_office.rs"]
mod post_office;
mod reading;
mod sides;
