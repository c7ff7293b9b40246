//! The monolith over HTTP on both databases, alone and beside the services that replace it.

mod accounts;
mod app;
mod audit;
mod counting;
mod curating;
mod importing;
mod playing;
mod reading;
mod sides;
