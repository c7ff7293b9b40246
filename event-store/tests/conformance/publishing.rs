//! The publisher, and consumers behind a NATS that goes down, loses its disk and delivers twice.

mod nats;
mod publisher;
