//! Takes over what the monolith's database holds: unlocked badges, and what the badge rules know of
//! each player.
//!
//! Invariant: it can be repeated at any time, also while the service runs. Badges are only ever
//! added; a player's state is taken while newer than the last import's and only as long as the
//! player has not answered here. Nobody who left comes back.

use async_trait::async_trait;
use database::{Database, Json, Result, Timestamp, Tx, params};
use serde::Serialize;
use service::{
    departed,
    import::{BATCH, Count, Import},
};
use uuid::Uuid;

use crate::{domain::Player, store};

/// Takes over the monolith's badges and players.
#[derive(Clone, Copy, Debug)]
pub struct FromLegacy;

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What the rules know of each player.
    pub players: Count,
    /// Unlocked badges.
    pub badges: Count,
}

#[async_trait]
impl Import for FromLegacy {
    type Report = Report;

    async fn run(&self, own: &Database, legacy: &Database) -> Result<Report> {
        Ok(Report {
            players: players(own, legacy).await?,
            badges: badges(own, legacy).await?,
        })
    }
}

async fn players(db: &Database, legacy: &Database) -> Result<Count> {
    let mut count = Count::default();
    let mut after = Uuid::nil();
    loop {
        let rows: Vec<(Uuid, Json<Player>, Timestamp)> = legacy
            .fetch_all(
                "SELECT user_id, state, updated_at FROM players
                 WHERE user_id > $1 ORDER BY user_id LIMIT $2",
                params![after, BATCH],
            )
            .await?;
        let Some((last, ..)) = rows.last() else {
            return Ok(count);
        };
        after = *last;
        let users: Vec<Uuid> = rows.iter().map(|(user_id, ..)| *user_id).collect();
        let mut tx = db.begin().await?;
        let left = departed::among(&mut tx, users.clone()).await?;
        for (user_id, state, at) in rows {
            let is_news = !left.contains(&user_id)
                && store::import_player(&mut tx, user_id, &state, at).await?;
            count.add(is_news);
        }
        forget_who_left(&mut tx, users).await?;
        tx.commit().await?;
    }
}

async fn badges(db: &Database, legacy: &Database) -> Result<Count> {
    let mut count = Count::default();
    let mut after = (Uuid::nil(), String::new());
    loop {
        let rows: Vec<(Uuid, String, Timestamp)> = legacy
            .fetch_all(
                "SELECT user_id, badge_id, unlocked_at FROM achievements
                 WHERE (user_id, badge_id) > ($1, $2) ORDER BY user_id, badge_id LIMIT $3",
                params![after.0, &after.1, BATCH],
            )
            .await?;
        let Some((user_id, badge_id, _)) = rows.last() else {
            return Ok(count);
        };
        after = (*user_id, badge_id.clone());
        let users: Vec<Uuid> = rows.iter().map(|(user_id, ..)| *user_id).collect();
        let mut tx = db.begin().await?;
        let left = departed::among(&mut tx, users.clone()).await?;
        for (user_id, badge_id, at) in rows {
            let is_news = !left.contains(&user_id)
                && store::import_badge(&mut tx, user_id, &badge_id, at).await?;
            count.add(is_news);
        }
        forget_who_left(&mut tx, users).await?;
        tx.commit().await?;
    }
}

/// Forgets whoever of `users` left since the batch began. Whoever leaves later waits for a player's row
/// that it wrote; a badge without one is left to `retention`.
async fn forget_who_left(tx: &mut Tx, users: Vec<Uuid>) -> Result<()> {
    for user_id in departed::among(tx, users).await? {
        store::forget(tx, user_id).await?;
    }
    Ok(())
}
