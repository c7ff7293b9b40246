//! The admin API over real HTTP: what it shows, what it changes, and whom it refuses.

mod changes;
mod guard;
mod shows;
mod stage;
