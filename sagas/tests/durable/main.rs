//! The durable engine over both databases: the matrix of failures, crashes after every commit,
//! replicas that race, and what operators do.

#![expect(
    clippy::unwrap_used,
    reason = "these functions are the bodies of tests, which run over both databases"
)]

mod crashes;
mod erasure;
mod ledger;
mod matrix;
mod operating;
mod order;
mod parking;
mod participants;
mod poison;
mod process;
mod races;
mod replicas;
mod robust;
mod skew;
mod waiting;
mod world;
