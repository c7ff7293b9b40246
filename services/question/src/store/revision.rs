//! The number that rises with every change of what players may see. Caches go by it.

use database::{Database, Result, Tx, params};

/// Raised when a transaction of this process that raised the revision has committed.
pub const SIGNAL: &str = "bank";

/// Raises it with the transaction. Its row is the first that a transaction locks, so that two of
/// them never wait for each other.
///
/// # Errors
/// As the database says.
pub async fn raise(tx: &mut Tx) -> Result<()> {
    tx.execute(
        "UPDATE bank_revision SET revision = revision + 1 WHERE name = 'bank'",
        params![],
    )
    .await?;
    tx.signal(SIGNAL);
    Ok(())
}

/// As it is now. Whoever reads the bank after this sees at least what it stands for.
///
/// # Errors
/// As the database says.
pub async fn current(db: &Database) -> Result<i64> {
    let sql = "SELECT revision FROM bank_revision WHERE name = 'bank'";
    let (revision,): (i64,) = db.fetch_one(sql, params![]).await?;
    Ok(revision)
}
