//! Personal fields: sealed wherever an event goes, opened for who handles it, gone with their key.

mod erased;
mod opened;
mod world;
