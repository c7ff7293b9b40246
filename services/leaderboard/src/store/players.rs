//! The `players` table: names, and how often a player began anew.

use database::{Dialect, Result, Sql, Timestamp, Tx, params};
use uuid::Uuid;

/// Who named a player; the later ones outrank the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The monolith's database.
    Import,
    /// The token that came with an answer; it may be older than the account's last change.
    Answer,
    /// An event of the account itself.
    Account,
}

/// Notes a player's name; one from a better source stays.
///
/// # Errors
/// As the database says.
pub async fn name(tx: &mut Tx, user_id: Uuid, display_name: &str, source: Source) -> Result<()> {
    let values = params![user_id, display_name, source.as_str()];
    let sql = match source {
        Source::Account => {
            "INSERT INTO players (user_id, display_name, source) VALUES ($1, $2, $3)
             ON CONFLICT (user_id) DO UPDATE SET
                 display_name = excluded.display_name, source = excluded.source"
        }
        Source::Answer => {
            "INSERT INTO players (user_id, display_name, source) VALUES ($1, $2, $3)
             ON CONFLICT (user_id) DO UPDATE SET
                 display_name = excluded.display_name, source = excluded.source
             WHERE players.source <> 'account'"
        }
        Source::Import => {
            "INSERT INTO players (user_id, display_name, source) VALUES ($1, $2, $3)
             ON CONFLICT (user_id) DO UPDATE SET display_name = excluded.display_name
             WHERE players.source = 'import'"
        }
    };
    tx.execute(sql, values).await.map(|_| ())
}

/// Forgets the name of a player whose scores stay.
///
/// # Errors
/// As the database says.
pub async fn unname(tx: &mut Tx, user_id: Uuid) -> Result<()> {
    tx.execute(
        "UPDATE players SET display_name = '' WHERE user_id = $1",
        params![user_id],
    )
    .await
    .map(|_| ())
}

/// Notes the names that came with answers, as [`name`] does.
///
/// # Errors
/// As the database says.
pub async fn name_all(tx: &mut Tx, names: Vec<(Uuid, String)>) -> Result<()> {
    const NAME: &str = "INSERT INTO players (user_id, display_name, source)
         SELECT user_id, display_name, 'answer'
         FROM unnest($1::UUID[], $2::TEXT[]) AS given (user_id, display_name)
         ON CONFLICT (user_id) DO UPDATE SET
             display_name = excluded.display_name, source = excluded.source
         WHERE players.source <> 'account'";
    if tx.dialect() == Dialect::Postgres && !names.is_empty() {
        let (users, names): (Vec<Uuid>, Vec<String>) = names.into_iter().unzip();
        return tx.execute(NAME, params![users, names]).await.map(|_| ());
    }
    for (user_id, display_name) in names {
        name(tx, user_id, &display_name, Source::Answer).await?;
    }
    Ok(())
}

/// Forgets the names of players who stand on no board any more, whom only an answer had named and
/// who never began anew.
///
/// # Errors
/// As the database says.
pub async fn forget_unplaced(tx: &mut Tx, users: Vec<Uuid>) -> Result<()> {
    const FORGET: Sql = Sql::by_dialect(
        "DELETE FROM players WHERE user_id = ANY($1) AND source = 'answer' AND resets = 0
           AND NOT EXISTS (SELECT 1 FROM standings WHERE standings.user_id = players.user_id)",
        "DELETE FROM players WHERE user_id IN (SELECT unhex(value) FROM json_each($1))
           AND source = 'answer' AND resets = 0
           AND NOT EXISTS (SELECT 1 FROM standings WHERE standings.user_id = players.user_id)",
    );
    if users.is_empty() {
        return Ok(());
    }
    tx.execute(FORGET, params![users]).await.map(|_| ())
}

/// Notes that the player's scores were set back to nothing at that time.
///
/// # Errors
/// As the database says.
pub async fn note_reset(tx: &mut Tx, user_id: Uuid, at: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO players (user_id, display_name, source, resets, reset_at)
         VALUES ($1, '', 'import', 1, $2)
         ON CONFLICT (user_id) DO UPDATE SET
             resets = players.resets + 1, reset_at = excluded.reset_at",
        params![user_id, at],
    )
    .await
    .map(|_| ())
}

/// Forgets a player.
///
/// # Errors
/// As the database says.
pub async fn forget(tx: &mut Tx, user_id: Uuid) -> Result<()> {
    tx.execute("DELETE FROM players WHERE user_id = $1", params![user_id])
        .await
        .map(|_| ())
}

impl Source {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Answer => "answer",
            Self::Account => "account",
        }
    }
}
