//! Faults that tests switch on: places at which a process dies, and bugs that a proof must catch.
//!
//! [`before`] and [`after`] stand around each durable write; `BANYAN_CRASH_AT=relay.mark.after:3`
//! aborts the process at the third hit of that point. [`is_on`] asks for one of the bugs;
//! `BANYAN_MUTATION=dedup_off` or a [`Switched`] switches it on. [`simulated`] says what the clocks of
//! a simulated thread say.
//!
//! Invariant: a release build has none of it, whatever its features: without debug assertions
//! [`before`] and [`after`] are empty, and [`is_on`] and [`simulated`] are the constants `false` and `None`
//! (`crates/faults/tests/absent.rs`). A debug build has it only with the feature `armed`, which no
//! package turns on for the shipped programs (`cargo xtask tidy`).
//!
//! Beside `fail`: a panic there ends a task and not the process, and its points are texts that come
//! into being when they are hit. Here they are a closed list, so that a test can die at each.
//! Beside `database::CommitHook`: a hook sees commits and not what they are for, and cannot stand
//! before a statement, a call of the bus, or a commit that the server makes.

#[cfg(all(feature = "armed", debug_assertions))]
mod armed;
mod mutation;
#[cfg(all(feature = "armed", debug_assertions))]
mod simulated;
mod write;

#[cfg(all(feature = "armed", debug_assertions))]
pub use self::{
    armed::{Switched, SwitchedHere, after, before, is_on},
    simulated::{Simulated, simulated},
};
pub use self::{
    mutation::Mutation,
    write::{Moment, Point, Write},
};

/// Where a process is told at which point it dies: `{point}:{hit}`.
pub const CRASH_AT: &str = "BANYAN_CRASH_AT";

/// Where a process is told which bug it has: [`Mutation::name`].
pub const MUTATION: &str = "BANYAN_MUTATION";

/// Stands before a durable write.
#[cfg(not(all(feature = "armed", debug_assertions)))]
#[inline(always)]
pub const fn before(_write: Write) {}

/// Stands after a durable write.
#[cfg(not(all(feature = "armed", debug_assertions)))]
#[inline(always)]
pub const fn after(_write: Write) {}

/// Whether this process has the bug.
#[cfg(not(all(feature = "armed", debug_assertions)))]
#[inline(always)]
#[must_use]
pub const fn is_on(_mutation: Mutation) -> bool {
    false
}

/// What the clocks of a simulated thread say, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// The database's.
    pub of_database: i64,
    /// That of the machine that the replica at work runs on.
    pub of_machine: i64,
}

/// What the clocks say, where this thread is simulated: all that would leave it, which are a commit's
/// wait for the disk and a long read, stays on it then.
#[cfg(not(all(feature = "armed", debug_assertions)))]
#[inline(always)]
#[must_use]
pub const fn simulated() -> Option<Time> {
    None
}
