//! What every bus promises, over each of them; and what NATS and RabbitMQ promise beyond it.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by it, also in the parts that several tests share"
)]

mod authority;
mod brokers;
mod events;
mod nats;
mod nats_elsewhere;
mod promises;
mod rabbit;
mod rabbit_elsewhere;
