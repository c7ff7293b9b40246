//! The pure core: definitions and the transition function, by example and by property.

mod back;
mod definition;
mod forward;
mod given;
mod picture;
mod properties;
mod simulation;
