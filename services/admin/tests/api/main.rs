//! The admin service from outside, on both databases.

mod app;
mod bulk;
mod confirming;
mod curating;
mod following;
mod monoliths;
