//! Writing what a transaction changed of its players: what goes, then what stays, then what is new.

use std::collections::BTreeMap;

use database::{Dialect, Error, Result, Timestamp, Tx, Value as Bound, params};
use serde_json::Value;
use uuid::Uuid;

use super::{Kept, Stage};

/// Whose, which, by which answer, when.
type NewBadge = (Uuid, String, Option<Uuid>, Timestamp);

/// The changes, each list for one statement.
#[derive(Default)]
struct Changes {
    gone: Vec<Uuid>,
    changed: Vec<(Uuid, Value, i64)>,
    new: Vec<(Uuid, Value, i64)>,
    badges_gone: Vec<(Uuid, String)>,
    badges_new: Vec<NewBadge>,
    badges_unlocked: Vec<(Uuid, String, Timestamp)>,
}

/// Writes what was changed of these players.
pub(super) async fn write(tx: &mut Tx, players: BTreeMap<Uuid, Kept>) -> Result<()> {
    let mut changes = Changes::default();
    for (user_id, kept) in players {
        changes.add(user_id, kept);
    }
    let new = changes.new.len() + changes.badges_new.len();
    let added = match tx.dialect() {
        Dialect::Postgres => changes.write_together(tx).await?,
        Dialect::Sqlite => changes.write_each(tx).await?,
    };
    if usize::try_from(added).unwrap_or(usize::MAX) < new {
        let reason = "an import wrote a player or a badge meanwhile";
        return Err(Error::Contention(reason.into()));
    }
    Ok(())
}

impl Changes {
    fn add(&mut self, user_id: Uuid, kept: Kept) {
        if kept.is_gone {
            self.gone.push(user_id);
        }
        if let Some(row) = kept.row.filter(|_| kept.is_changed) {
            let list = if kept.is_stored {
                &mut self.changed
            } else {
                &mut self.new
            };
            list.push((user_id, row.state, row.answers));
        }
        let gone = kept.gone.into_iter().map(|id| (user_id, id));
        self.badges_gone.extend(gone);
        for (id, badge) in kept.badges {
            if let Stage::UnlockedAt(at) = badge.stage {
                self.badges_unlocked.push((user_id, id.clone(), at));
            }
            if let Some(at) = badge.earned_at {
                self.badges_new.push((user_id, id, badge.answer_id, at));
            }
        }
    }

    /// One statement for all rows of a kind; how many new rows were written.
    async fn write_together(self, tx: &mut Tx) -> Result<u64> {
        const GONE: &str = "DELETE FROM players WHERE user_id = ANY($1)";
        const CHANGED: &str =
            "UPDATE players SET state = given.state::JSONB, answers = given.answers
             FROM unnest($1::UUID[], $2::TEXT[], $3::BIGINT[]) AS given (user_id, state, answers)
             WHERE players.user_id = given.user_id";
        const NEW: &str = "INSERT INTO players (user_id, state, answers)
             SELECT user_id, state::JSONB, answers
             FROM unnest($1::UUID[], $2::TEXT[], $3::BIGINT[]) AS given (user_id, state, answers)
             ON CONFLICT (user_id) DO NOTHING";
        if !self.gone.is_empty() {
            tx.execute(GONE, params![self.gone]).await?;
        }
        if !self.changed.is_empty() {
            tx.execute(CHANGED, columns(self.changed)).await?;
        }
        let mut added = 0;
        if !self.new.is_empty() {
            added += tx.execute(NEW, columns(self.new)).await?;
        }
        added += take_off_and_earn(tx, self.badges_gone, self.badges_new).await?;
        unlock(tx, self.badges_unlocked).await?;
        Ok(added)
    }

    /// One call for each row; how many new rows were written.
    async fn write_each(self, tx: &mut Tx) -> Result<u64> {
        const GONE: &str = "DELETE FROM players WHERE user_id = $1";
        const CHANGED: &str = "UPDATE players SET state = $2, answers = $3 WHERE user_id = $1";
        const NEW: &str = "INSERT INTO players (user_id, state, answers) VALUES ($1, $2, $3)
             ON CONFLICT (user_id) DO NOTHING";
        const BADGES_GONE: &str = "DELETE FROM badges WHERE user_id = $1 AND badge_id = $2";
        const BADGES_NEW: &str =
            "INSERT INTO badges (user_id, badge_id, status, answer_id, earned_at)
             VALUES ($1, $2, 'earned', $3, $4) ON CONFLICT (user_id, badge_id) DO NOTHING";
        const BADGES_UNLOCKED: &str = "UPDATE badges SET status = 'unlocked', unlocked_at = $3
             WHERE user_id = $1 AND badge_id = $2";
        let row = |(user_id, state, answers)| params![user_id, state, answers];
        let gone = self.gone.into_iter().map(|user_id| params![user_id]);
        tx.execute_each(GONE, gone.collect()).await?;
        let changed = self.changed.into_iter().map(row);
        tx.execute_each(CHANGED, changed.collect()).await?;
        let new = self.new.into_iter().map(row);
        let mut added = tx.execute_each(NEW, new.collect()).await?;
        let gone = self.badges_gone.into_iter();
        let gone = gone.map(|(user_id, badge)| params![user_id, badge]);
        tx.execute_each(BADGES_GONE, gone.collect()).await?;
        let earned = self.badges_new.into_iter();
        let earned =
            earned.map(|(user_id, badge, answer_id, at)| params![user_id, badge, answer_id, at]);
        added += tx.execute_each(BADGES_NEW, earned.collect()).await?;
        let unlocked = self.badges_unlocked.into_iter();
        let unlocked = unlocked.map(|(user_id, badge, at)| params![user_id, badge, at]);
        tx.execute_each(BADGES_UNLOCKED, unlocked.collect()).await?;
        Ok(added)
    }
}

/// Ids, states, answers.
fn columns(players: Vec<(Uuid, Value, i64)>) -> Vec<Bound> {
    let (mut users, mut states, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for (user_id, state, count) in players {
        users.push(user_id);
        states.push(state.to_string());
        answers.push(count);
    }
    params![users, states, answers]
}

async fn take_off_and_earn(
    tx: &mut Tx,
    gone: Vec<(Uuid, String)>,
    new: Vec<NewBadge>,
) -> Result<u64> {
    const GONE: &str = "DELETE FROM badges USING unnest($1::UUID[], $2::TEXT[])
             AS given (user_id, badge_id)
         WHERE badges.user_id = given.user_id AND badges.badge_id = given.badge_id";
    const NEW: &str = "INSERT INTO badges (user_id, badge_id, status, answer_id, earned_at)
         SELECT user_id, badge_id, 'earned', answer_id, earned_at
         FROM unnest($1::UUID[], $2::TEXT[], $3::UUID[], $4::TIMESTAMPTZ[])
             AS given (user_id, badge_id, answer_id, earned_at)
         ON CONFLICT (user_id, badge_id) DO NOTHING";
    if !gone.is_empty() {
        let (users, badges): (Vec<Uuid>, Vec<String>) = gone.into_iter().unzip();
        tx.execute(GONE, params![users, badges]).await?;
    }
    if new.is_empty() {
        return Ok(0);
    }
    let (mut users, mut badges) = (Vec::new(), Vec::new());
    let (mut answers, mut times) = (Vec::new(), Vec::new());
    for (user_id, badge, answer_id, at) in new {
        users.push(user_id);
        badges.push(badge);
        answers.push(answer_id);
        times.push(at);
    }
    tx.execute(NEW, params![users, badges, answers, times])
        .await
}

async fn unlock(tx: &mut Tx, unlocked: Vec<(Uuid, String, Timestamp)>) -> Result<()> {
    const UNLOCK: &str = "UPDATE badges SET status = 'unlocked', unlocked_at = given.at
         FROM unnest($1::UUID[], $2::TEXT[], $3::TIMESTAMPTZ[]) AS given (user_id, badge_id, at)
         WHERE badges.user_id = given.user_id AND badges.badge_id = given.badge_id";
    if unlocked.is_empty() {
        return Ok(());
    }
    let (mut users, mut badges, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for (user_id, badge, at) in unlocked {
        users.push(user_id);
        badges.push(badge);
        times.push(at);
    }
    tx.execute(UNLOCK, params![users, badges, times])
        .await
        .map(|_| ())
}
