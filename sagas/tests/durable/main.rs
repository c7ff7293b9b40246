//! The durable engine over both databases: the matrix of failures, crashes after every commit,
//! replicas that race, and what operators do.

mod crashes;
mod ledger;
mod matrix;
mod operating;
mod order;
mod parking;
mod participants;
mod races;
mod waiting;
mod world;
