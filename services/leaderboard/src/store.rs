//! All SQL of the leaderboard service.
//!
//! Invariants: the order of a board is that of [`crate::domain::Entry::key`]; a line's score is what
//! was imported plus what answers and badges earned here; whoever changes a line holds [`lock`] and
//! moves its count in the [`tree`] in the same transaction. What answers and badges do waits in [`held`]
//! until the commit, and whoever goes to the tables past it writes that before.

pub mod boards;
pub mod bonuses;
pub mod entries;
pub mod held;
pub mod players;
pub mod standings;
pub mod tree;

use database::{Deferred, Dialect, Migrations, Result, Tx, Writing, params};

/// The signal that a committed change of any board raises in its process.
pub const CHANGED: &str = "boards";

/// The advisory lock's number on PostgreSQL; nothing else in this database takes that kind.
const LOCK: i64 = 0x6c65_6164_6572;

/// The service's own tables.
pub fn migrations() -> Migrations {
    Migrations::new(
        "leaderboard",
        sqlx::migrate!("../../migrations/leaderboard/postgres"),
        sqlx::migrate!("../../migrations/leaderboard/sqlite"),
    )
}

/// Waits until nobody else changes boards, and keeps others from it until the transaction ends.
/// One lock for all boards: the consumer is their only steady writer, and several locks would have
/// to be taken in an order. Readers do not wait.
///
/// # Errors
/// As the database says.
pub async fn lock(tx: &mut Tx) -> Result<()> {
    tx.signal(CHANGED);
    // SQLite has one writer at a time anyway.
    if tx.dialect() == Dialect::Postgres && !tx.deferred::<Locked>().0 {
        tx.execute("SELECT pg_advisory_xact_lock($1)", params![LOCK])
            .await?;
        tx.deferred::<Locked>().0 = true;
    }
    Ok(())
}

/// Whether this transaction is known to hold the lock. Going back to a savepoint gives back a lock that
/// was taken since, and takes this back with it.
#[derive(Clone, Default)]
struct Locked(bool);

impl Deferred for Locked {
    fn write(self, _: &mut Tx) -> Writing<'_> {
        Box::pin(async { Ok(()) })
    }
}
