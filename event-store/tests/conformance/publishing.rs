//! The publisher, and consumers behind a bus that goes down, loses its disk, its leader or messages,
//! and delivers twice.

mod nats;
mod nats_under_fire;
mod publisher;
mod rabbit;
mod system;
