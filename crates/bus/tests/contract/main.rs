//! What every bus promises, over each of them; and what NATS and RabbitMQ promise beyond it.

mod brokers;
mod events;
mod nats;
mod promises;
mod rabbit;
